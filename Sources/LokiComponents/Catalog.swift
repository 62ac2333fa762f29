package import ComponentKit

/// The `loki.*` components, sorted by name.
package let lokiComponents: [any Component.Type] = [
    LokiEcho.self,
    LokiEnrich.self,
    LokiProcess.self,
    LokiRelabel.self,
    LokiSourceAPI.self,
    LokiSourceDocker.self,
    LokiSourceFile.self,
    LokiSourceGELF.self,
    LokiSourceKubernetes.self,
    LokiSourceKubernetesEvents.self,
    LokiSourcePodLogs.self,
    LokiSourceSyslog.self,
    LokiWrite.self,
]
