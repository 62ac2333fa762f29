package import ComponentKit

/// The components of this family, by name.
package let platformComponents: [any Component.Type] = [
    LocalFile.self,
    LocalFileMatch.self,
    RemoteHTTP.self,
    RemoteKubernetesConfigMap.self,
    RemoteKubernetesSecret.self,
    RemoteVault.self,
]
