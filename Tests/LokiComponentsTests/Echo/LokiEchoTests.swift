import ComponentKit
import Telemetry
import TestKit
import Testing

@testable import LokiComponents

@Suite("loki.echo")
struct LokiEchoTests {
    @Test("Every entry becomes a line of the log")
    func echo() throws {
        let harness = ComponentHarness(LokiEcho.self)
        #expect(harness.start("") == [])
        let receiver = try #require(harness.export("receiver", as: Receiver<LogBatch>.self))
        var batch = LogBatch()
        batch.append("hello", labels: ["app": "x"], timestamp: 1_700_000_000_500_000_000, metadata: ["k": "a\"<"])
        let sent = batch
        try harness.run { try await receiver.consume(sent) }
        #expect(
            harness.logSink.lines.last
                == "info received log entry component_path=/ component_id=loki.echo.test entry=hello "
                + "entry_timestamp=2023-11-14T22:13:20.5Z labels={app=\"x\"} structured_metadata={\"k\":\"a\\\"\\u003c\"}"
        )
        #expect(harness.finish() == [])
        #expect(harness.instance.ledger.statement.outgoing == 1)
    }
}
