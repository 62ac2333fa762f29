#!/usr/bin/env bash
# Writes the collectors' credentials from Vault into a Kubernetes Secret.
#
#   rotate-secret.sh              replaces the Secret in one step, so that it is never absent
#   rotate-secret.sh --recreate   deletes the old Secret, then creates the new one
#
# Environment: VAULT_ALLOY_SECRET, the path in Vault; LOCAL_ALLOY_SECRET, the name of the Secret; NAMESPACE, its
# namespace (monitoring). Log in to Vault and choose the cluster with kubectl first. Credentials pass through pipes
# alone: they are in no argument and in no file.
set -euo pipefail
umask 077

fail() {
    echo "rotate-secret: $1" >&2
    exit 1
}

recreate=
case ${1:-} in
'') ;;
--recreate) recreate=yes ;;
*) fail "usage: rotate-secret.sh [--recreate]" ;;
esac
[ -n "${VAULT_ALLOY_SECRET:-}" ] || fail "VAULT_ALLOY_SECRET is not set: the path of the credentials in Vault"
[ -n "${LOCAL_ALLOY_SECRET:-}" ] || fail "LOCAL_ALLOY_SECRET is not set: the name of the Secret to write"
namespace=${NAMESPACE:-monitoring}
for tool in vault kubectl jq; do
    command -v "$tool" >/dev/null || fail "$tool is not installed"
done

data=$(vault kv get -format json -field data "$VAULT_ALLOY_SECRET") || fail "Vault did not give $VAULT_ALLOY_SECRET"

# Checked before anything is touched. Keys beyond the known ones are kept where a Secret can hold their names.
problem=$(printf '%s' "$data" | jq -r '
    if type != "object" then "the field data is not an object"
    else
        ["azure_app_client_id", "azure_app_client_secret", "azure_token_url"] as $oauth2
        | ["ca.crt", "tls.crt", "tls.key"] as $mtls
        | [to_entries[] | select(.value != null and .value != "") | .key] as $given
        | if ($oauth2 - $given == []) or ($mtls - $given == []) then empty
          else "needs the keys \($oauth2 | join(", ")), or \($mtls | join(", "))"
          end
    end') || fail "$VAULT_ALLOY_SECRET is not JSON"
[ -z "$problem" ] || fail "$VAULT_ALLOY_SECRET: $problem"
printf '%s' "$data" | jq -r 'keys[] | select(test("^[-._a-zA-Z0-9]{1,253}$") | not)
    | "rotate-secret: left out the key \(tojson), which no Secret can hold"' >&2

manifest() {
    printf '%s' "$data" | jq -c --arg name "$LOCAL_ALLOY_SECRET" --arg namespace "$namespace" '{
        apiVersion: "v1",
        kind: "Secret",
        type: "Opaque",
        metadata: {name: $name, namespace: $namespace},
        data: with_entries(
            select(.key | test("^[-._a-zA-Z0-9]{1,253}$"))
            | .value |= ((if type == "string" then . else tojson end) | @base64))
    }'
}

if [ -n "$recreate" ]; then
    kubectl delete secret "$LOCAL_ALLOY_SECRET" --namespace "$namespace" --ignore-not-found
    manifest | kubectl create --filename -
elif kubectl get secret "$LOCAL_ALLOY_SECRET" --namespace "$namespace" --output name >/dev/null 2>&1; then
    manifest | kubectl replace --filename -
else
    manifest | kubectl create --filename -
fi
