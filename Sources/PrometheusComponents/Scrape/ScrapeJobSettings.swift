import Telemetry
import Transport
import Wire

/// How the targets of one job are scraped, for jobs that come from elsewhere than a block of configuration.
struct ScrapeJobSettings: Sendable, Equatable {
    var name: String
    var interval = Duration.seconds(60)
    var timeout = Duration.seconds(10)
    var protocols = ScrapeProtocol.standard
    var metricsPath = "/metrics"
    var scheme = "http"
    var params: [String: [String]] = [:]
    var honorsLabels = false
    var isCompressionEnabled = true
    var targetLimit: UInt = 0
    var options = ExpositionOptions()
    var client = HTTPClientSettings()
    var metricRelabeling = Relabeling([])

    init(name: String) { self.name = name }
}
