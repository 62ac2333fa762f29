import CKafka
import Essentials
import Synchronization
import TextFormats
import Transport

/// A token that a client shows to brokers (SASL `OAUTHBEARER`, RFC 7628).
struct KafkaToken: Sendable {
    let text: Secret<String>
    /// Milliseconds since 1970.
    let endMilliseconds: Int64
    /// Who the token is of; brokers do not look at it.
    let principal: String
}

/// Gives the library a new token whenever it asks for one: at the beginning, and after four fifths of a token's life.
final class KafkaTokens: Sendable {
    private let fetch: @Sendable () async throws -> KafkaToken
    private let isClosed = Mutex(false)

    init(_ fetch: @escaping @Sendable () async throws -> KafkaToken) { self.fetch = fetch }

    /// Answers a request for a token. After a failure the library asks again in ten seconds.
    func refresh(_ producer: OpaquePointer) {
        let address = UInt(bitPattern: producer)
        // The library's thread that asks must not wait.
        Task {
            do {
                let token = try await fetch()
                give(address) { Self.set(token, $0) }
            } catch {
                give(address) { rd_kafka_oauthbearer_set_token_failure($0, "\(error)") }
            }
        }
    }

    /// From now on the producer is not touched.
    func close() { isClosed.withLock { $0 = true } }

    /// The lock keeps the producer from being destroyed meanwhile; the library calls nothing back here.
    private func give(_ address: UInt, _ body: (OpaquePointer) -> Void) {
        isClosed.withLock { isClosed in
            guard !isClosed, let producer = OpaquePointer(bitPattern: address) else { return }
            body(producer)
        }
    }

    private static func set(_ token: KafkaToken, _ producer: OpaquePointer) {
        var reason = [CChar](repeating: 0, count: 512)
        let code = token.text.reveal {
            rd_kafka_oauthbearer_set_token(
                producer, $0, token.endMilliseconds, token.principal, nil, 0, &reason, reason.count)
        }
        if code == RD_KAFKA_RESP_ERR_NO_ERROR { return }
        // The reason may quote the token.
        rd_kafka_oauthbearer_set_token_failure(producer, "the token is not one the Kafka client takes")
    }
}

/// Tokens of Amazon MSK: a URL for `kafka-cluster:Connect`, signed with the credentials that AWS's own tools would take and
/// good for fifteen minutes, as base64 of the kind for URLs (AWS, "IAM access control", `aws-msk-iam-sasl-signer`).
struct KafkaMSKTokens: Sendable {
    private static let lifeSeconds = 900

    private let signer: AWSRequestSigner
    private let url: HTTPURL?
    private let clock: EngineClock
    private let principal: String

    init(region: String, principal: String, on loops: EventLoops, clock: EngineClock) {
        var settings = SigV4Settings()
        settings.service = "kafka-cluster"
        settings.region = region
        signer = AWSRequestSigner(settings, on: loops, clock: clock)
        url = HTTPURL("https://kafka.\(region).amazonaws.com/?Action=kafka-cluster%3AConnect")
        self.clock = clock
        self.principal = principal
    }

    func fetch() async throws -> KafkaToken {
        guard let url else { throw KafkaError("the region of aws_msk makes no URL") }
        let end = clock.wallMilliseconds + Int64(Self.lifeSeconds) * 1_000
        let signed = try await signer.presign(url, for: Self.lifeSeconds)
        return KafkaToken(
            text: Secret(signed.reveal { Base64.encode("\($0)&User-Agent=invar".utf8, .urlUnpadded) }),
            endMilliseconds: end, principal: principal)
    }
}
