package import ComponentKit

/// The `otelcol.*` components, sorted by name.
package let otelcolComponents: [any Component.Type] = [
    OtelcolAuthBasic.self,
    OtelcolAuthBearer.self,
    OtelcolAuthHeaders.self,
    OtelcolAuthOAuth2.self,
    OtelcolConnectorHostInfo.self,
    OtelcolConnectorSpanLogs.self,
    OtelcolConnectorSpanMetrics.self,
    OtelcolExporterDebug.self,
    OtelcolExporterLoki.self,
    OtelcolExporterOTLP.self,
    OtelcolExporterOTLPHTTP.self,
    OtelcolProcessorAttributes.self,
    OtelcolProcessorBatch.self,
    OtelcolProcessorFilter.self,
    OtelcolProcessorGroupByAttrs.self,
    OtelcolProcessorMemoryLimiter.self,
    OtelcolProcessorProbabilisticSampler.self,
    OtelcolProcessorRedaction.self,
    OtelcolProcessorSpan.self,
    OtelcolProcessorTransform.self,
    OtelcolReceiverLoki.self,
    OtelcolReceiverOTLP.self,
    OtelcolReceiverPrometheus.self,
    OtelcolStorageFile.self,
]
