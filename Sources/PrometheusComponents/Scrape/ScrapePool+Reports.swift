import ComponentKit
import Essentials
import Telemetry
import Transport
import Wire

/// What the console's page of targets asks of a pool.
extension ScrapePool: ScrapeSource {
    var componentID: String { context.componentID }
    var isScraping: Bool { true }

    var targetReports: [TargetReport] {
        let job = arguments.current.jobName ?? context.componentID
        return activeTargets.map { loop, source in
            let status = loop.status
            return TargetReport(
                id: loop.id, job: job, url: loop.identity.url, health: status.health.rawValue,
                discoveredLabels: source.labels, labels: loop.identity.labels, lastError: status.lastError,
                lastScrape: status.lastScrape, nextScrape: loop.nextScrapeMilliseconds.map { $0 * 1_000_000 },
                lastDuration: status.lastDuration, lastSamples: status.lastSamples, lastBytes: status.lastBytes,
                interval: loop.target.interval, timeout: loop.target.timeout)
        }
    }

    /// Asks with the client, the identity and the timeout of a scrape, but for text, and reads at most `bytes`. Where the
    /// answer repeats credentials of the request, they are masked.
    func response(of id: String, upTo bytes: Int) async -> TargetResponse? {
        guard let loop = activeLoops.first(where: { $0.id == id }) else { return nil }
        var answer = TargetResponse()
        if let problem = loop.forcedError {
            answer.problem = problem
            return answer
        }
        guard context.memory.admit(bytes) else {
            answer.problem = "the process is short of memory"
            return answer
        }
        defer { context.memory.release(bytes) }
        let arguments = arguments.current
        var request = ScrapeRequest(loop.target, arguments, in: self)
        let texts = arguments.protocols.filter { $0 != .prometheusProtobuf }
        request.request.fields["accept"] = ScrapeProtocol.acceptHeader(
            texts.isEmpty ? [.prometheusText004] : texts, escaping: arguments.escaping)
        let started = context.clock.monotonicNanoseconds
        do {
            try await read(request, arguments, upTo: bytes, into: &answer)
        } catch {
            answer.problem = "\(error)"
        }
        answer.duration = context.clock.elapsed(since: started)
        return answer
    }

    private func read(
        _ request: ScrapeRequest, _ arguments: PrometheusScrape.Arguments, upTo limit: Int,
        into answer: inout TargetResponse
    ) async throws {
        if let page = ScrapeFetch(request: request, arguments: arguments, pool: self).inMemoryPage {
            let response = await page()
            answer.status = response.status
            answer.contentType = response.contentType
            answer.body = Array(response.body.prefix(limit))
            answer.isTruncated = response.body.count > limit
            return
        }
        let mask = SecretMask(try await request.client.secrets(sentWith: request.request))
        let response = try await request.client.send(request.request)
        answer.status = response.status.code
        answer.contentType = response.contentType
        while let chunk = try await response.body.nextChunk() {
            let room = limit - answer.body.count
            chunk.withUnsafeBytes { answer.body.append(contentsOf: $0.prefix(room)) }
            if chunk.withUnsafeBytes({ $0.count }) > room {
                answer.isTruncated = true
                response.body.cancel()
                break
            }
        }
        mask.apply(to: &answer.body, isCut: answer.isTruncated)
    }
}

/// Takes secrets out of bytes that are to be shown.
struct SecretMask {
    /// Shorter ones are no secrets, and would tear other words apart.
    private static let shortest = 4
    private static let replacement = Array("(secret)".utf8)

    /// The longest first: one may be part of another.
    private let secrets: [[UInt8]]

    init(_ secrets: [String]) {
        self.secrets = Set(secrets).map { Array($0.utf8) }.filter { $0.count >= Self.shortest }
            .sorted { $0.count > $1.count }
    }

    /// Masks every secret in `bytes`. Where they were cut off, what may be the beginning of one goes too.
    func apply(to bytes: inout [UInt8], isCut: Bool) {
        if isCut, let longest = secrets.first?.count { bytes.removeLast(min(bytes.count, longest - 1)) }
        for secret in secrets {
            var masked: [UInt8] = []
            var start = 0
            var index = 0
            while index + secret.count <= bytes.count {
                if bytes[index] == secret[0], bytes[index..<index + secret.count].elementsEqual(secret) {
                    masked += bytes[start..<index] + Self.replacement
                    index += secret.count
                    start = index
                } else {
                    index += 1
                }
            }
            if start > 0 { bytes = masked + bytes[start...] }
        }
    }
}
