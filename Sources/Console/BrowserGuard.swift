import Essentials
import Transport

/// Adds to every answer what keeps browsers from doing more with it than showing it, and refuses requests that pages of
/// other sites make a browser send.
///
/// Sources: "Content Security Policy Level 3" and "Fetch Metadata Request Headers" (W3C), RFC 6454 for `Origin`.
struct BrowserGuard {
    private(set) var router = HTTPRouter()

    /// Scripts and styles come from the program alone and never from within a page; nothing may frame it.
    static let contentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        + "font-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"

    /// Adds a route; one that `changesState` is closed to other sites for every method, not only for those that say so.
    mutating func on(
        _ method: HTTPMethod?, _ pattern: String, changesState: Bool = false, _ route: @escaping HTTPRouter.Route
    ) {
        router.on(method, pattern, Self.guarded(route, changesState: changesState))
    }

    /// Answers every path below `path` that no longer pattern matches.
    mutating func onPrefix(_ method: HTTPMethod?, _ path: String, _ route: @escaping HTTPRouter.Route) {
        router.onPrefix(method, path, Self.guarded(route, changesState: false))
    }

    /// Answers what no pattern matches.
    mutating func otherwise(_ route: @escaping HTTPRouter.Route) {
        router.otherwise(Self.guarded(route, changesState: false))
    }

    private static func guarded(_ route: @escaping HTTPRouter.Route, changesState: Bool) -> HTTPRouter.Route {
        { request in
            let isSafe = [.get, .head, .options].contains(request.method) && !changesState
            if !isSafe, let problem = foreignOrigin(of: request) {
                return secured(.text(.forbidden, problem + "\n"))
            }
            return secured(try await route(request))
        }
    }

    private static func secured(_ response: HTTPServerResponse) -> HTTPServerResponse {
        var response = response
        response.fields["x-content-type-options"] = "nosniff"
        response.fields["x-frame-options"] = "DENY"
        response.fields["referrer-policy"] = "no-referrer"
        response.fields["cross-origin-resource-policy"] = "same-origin"
        response.fields["content-security-policy"] = contentSecurityPolicy
        if !response.fields.contains("cache-control") { response.fields["cache-control"] = "no-store" }
        return response
    }

    /// Why the request comes from a page of another site; nil when it does not, or when no browser sent it.
    static func foreignOrigin(of request: HTTPServerRequest) -> String? {
        let site = request.fields["sec-fetch-site"]?.lowercased()
        if let site, site != "same-origin", site != "none" {
            return "refused: the request comes from a page of another site (Sec-Fetch-Site: \(printable(site)))"
        }
        // Behind a proxy that renames the host only the browser knows: what it says above is the better witness.
        guard site == nil, let origin = request.fields["origin"] else { return nil }
        let authority = request.fields["host"] ?? ""
        let scheme = origin.prefix { $0 != ":" }
        if scheme == "http" || scheme == "https", origin.lowercased() == "\(scheme)://\(authority.lowercased())" {
            return nil
        }
        return "refused: the request comes from a page of another site (Origin: \(printable(origin)))"
    }

    private static func printable(_ text: String) -> String {
        String(text.prefix(200).map { $0.isASCII && !$0.isNewline && $0 >= " " ? $0 : "?" })
    }
}
