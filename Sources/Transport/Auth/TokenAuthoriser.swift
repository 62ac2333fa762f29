import Essentials
import NIOCore
import Synchronization

/// A token as requests carry it.
struct AccessToken: Sendable {
    /// The value of the `Authorization` field.
    let header: String
    /// When the next one is fetched, on the clock's monotonic scale; nil is never.
    let renewalNanoseconds: Int64?
    /// The project requests are charged to, as Google wants to be told (`x-goog-user-project`); nil is the token's own.
    var quotaProject: String?
}

/// Puts a token on requests that many of them share: one is fetched at a time, the others wait for it. After 401 the
/// next is fetched.
final class TokenAuthoriser: RequestAuthoriser {
    typealias Fetch = @Sendable (NIODeadline) async throws(HTTPClientError) -> AccessToken

    private struct State {
        var token: AccessToken?
        var waiting: [OneShot<Void>] = []
        var isFetching = false
    }

    private enum Choice {
        case use(AccessToken)
        case fetch
        case wait(OneShot<Void>)
    }

    private let clock: EngineClock
    private let fetch: Fetch
    private let state = Mutex(State())

    /// Keeps what `fetch` brings until its renewal is due.
    init(clock: EngineClock, fetch: @escaping Fetch) {
        self.clock = clock
        self.fetch = fetch
    }

    func authorise(_ request: inout HTTPClientRequest, until deadline: NIODeadline) async throws(HTTPClientError) {
        let token = try await token(until: deadline)
        request.fields["authorization"] = token.header
        if let project = token.quotaProject { request.fields["x-goog-user-project"] = project }
    }

    /// Lets go of the token a server refused, unless another request has brought a new one already.
    func isRefreshable(after request: HTTPClientRequest) -> Bool {
        let used = request.fields["authorization"]
        state.withLock { state in
            if state.token?.header == used { state.token = nil }
        }
        return true
    }

    /// The token; fetches one when there is none that is still good.
    private func token(until deadline: NIODeadline) async throws(HTTPClientError) -> AccessToken {
        while true {
            switch choose() {
            case .use(let token): return token
            case .wait(let turn):
                try await wait(for: turn)
                guard deadline > .now() else { throw .deadlineExceeded(.authorisation) }
            case .fetch: return try await renew(until: deadline)
            }
        }
    }

    private func choose() -> Choice {
        let now = clock.monotonicNanoseconds
        return state.withLock { state in
            if let token = state.token, token.renewalNanoseconds.map({ now < $0 }) ?? true {
                return .use(token)
            }
            if state.isFetching {
                let turn = OneShot<Void>()
                state.waiting.append(turn)
                return .wait(turn)
            }
            state.isFetching = true
            return .fetch
        }
    }

    private func wait(for turn: OneShot<Void>) async throws(HTTPClientError) {
        do {
            try await withTaskCancellationHandler {
                try await turn.value()
            } onCancel: {
                turn.complete(.failure(HTTPClientError.cancelled))
            }
        } catch {
            throw HTTPClientError(error, in: .authorisation)
        }
    }

    private func renew(until deadline: NIODeadline) async throws(HTTPClientError) -> AccessToken {
        let fetched: Result<AccessToken, HTTPClientError>
        do throws(HTTPClientError) {
            fetched = .success(try await fetch(deadline))
        } catch {
            fetched = .failure(error)
        }
        let waiting = state.withLock { state in
            if case .success(let token) = fetched { state.token = token }
            state.isFetching = false
            defer { state.waiting = [] }
            return state.waiting
        }
        for turn in waiting { turn.complete(fetched.map { _ in }.mapError { $0 }) }
        return try fetched.get()
    }
}
