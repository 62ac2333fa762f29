package import ComponentKit
import Telemetry
import Transport

extension LokiWrite: Explaining {
    /// The labels the stream is sent with, and for each endpoint where to and as which tenant.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard item.kind == .log else { return nil }
        let settings = arguments.current
        let routes = StreamRoutes(externalLabels: settings.externalLabels)
        var batch = LogBatch()
        batch.append(item.line ?? "", labels: item.labels, timestamp: item.timestamp)
        guard let route = routes.routes(of: batch).first else { return nil }
        var explanation = Explanation()
        let merged = item.with(labels: routes.merged(item.labels))
        if !settings.externalLabels.isEmpty {
            explanation.steps.append(
                ExplainedStep(
                    "external_labels", path: RulePath("external_labels"),
                    merged.labels == item.labels ? .unchanged : .changed, "added where the stream has none of the name",
                    before: item, after: merged))
        }
        let sent = merged.with(labels: route.labels)
        if sent.labels != merged.labels {
            explanation.steps.append(
                ExplainedStep(
                    "labels", .changed, "labels that begin with __ are not sent", before: merged, after: sent))
        }
        if sent.labels.isEmpty { explanation.notes.append("the stream has no labels: Loki refuses such streams") }
        for endpoint in settings.plan.endpoints {
            let tenant = route.tenant ?? endpoint.tenantID
            let name = endpoint.name.isEmpty ? endpoint.url.text : "\(endpoint.name): \(endpoint.url.text)"
            explanation.results.append(
                Explanation.Result(
                    sent, .destination("Loki at \(name)" + (tenant.isEmpty ? "" : " as tenant \(tenant)"))))
        }
        if settings.plan.endpoints.contains(where: { $0.maximumStreams > 0 }) {
            explanation.notes.append("a request that has max_streams streams already takes no further ones")
        }
        return explanation
    }
}
