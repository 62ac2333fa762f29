import ComponentKit
import Essentials
import Runtime
import SelfMetrics
import Telemetry
import Transport

/// The routes of the program's server.
struct ConsolePages: Sendable {
    let settings: ConsoleServer.Settings
    let runtime: Runtime
    let services: EngineServices
    let recentLogs: RecentLogs
    let reload: ConsoleServer.Reload
    let onlookers: Onlookers

    /// The first segments of the paths that are views of the console.
    private static let views: Set<String> = [
        "", "graph", "component", "components", "targets", "live", "configuration", "flags", "runtime", "support",
        "clustering", "remotecfg", "explain", "explore",
    ]

    var router: HTTPRouter {
        var router = BrowserGuard()
        addOperations(to: &router)
        addInterface(to: &router)
        addConsole(to: &router)
        if settings.servesProfiles { addProfiles(to: &router) }
        router.onPrefix(nil, "/api/v0/component") { try await serveComponent($0, $0.path) }
        if settings.pathPrefix != "/" {
            // For the console behind a proxy that passes on nothing else.
            let above = settings.pathPrefix.count - 1
            router.onPrefix(nil, settings.pathPrefix + "api/v0/component") { request in
                try await serveComponent(request, String(request.path.dropFirst(above)))
            }
            router.on(.get, "/") { _ in .redirect(302, to: settings.pathPrefix) }
            router.on(.get, String(settings.pathPrefix.dropLast())) { _ in .redirect(302, to: settings.pathPrefix) }
        }
        router.otherwise { _ in .text(.notFound, "not found\n") }
        return router.router
    }

    private func addOperations(to router: inout BrowserGuard) {
        router.on(nil, "/-/ready") { _ in
            await runtime.isReady
                ? .text(.ok, "Alloy is ready.\n") : .text(.serviceUnavailable, "Alloy is not ready.\n")
        }
        router.on(nil, "/-/healthy") { _ in
            let unhealthy = runtime.unhealthyComponents
            return unhealthy.isEmpty
                ? .text(.ok, "All Alloy components are healthy.\n")
                : .text(.internalServerError, "unhealthy components: \(unhealthy.joined(separator: ", "))\n")
        }
        let reloadRoute: HTTPRouter.Route = { _ in
            if let problem = await reload() {
                return .text(.badRequest, problem.hasSuffix("\n") ? problem : problem + "\n")
            }
            return .text(.ok, "config reloaded\n")
        }
        router.on(.get, "/-/reload", changesState: true, reloadRoute)
        router.on(.post, "/-/reload", changesState: true, reloadRoute)
        router.on(nil, "/metrics") { _ in
            .bytes(.ok, Exposition.text(services.metrics.collect()), type: Exposition.contentType)
        }
        if settings.servesSupportBundle {
            router.on(.get, "/-/support") { request in try await supportBundle(request) }
        }
    }

    private func addInterface(to router: inout BrowserGuard) {
        let api = settings.pathPrefix + "api/v0/web/"
        router.on(nil, api + "components") { _ in .json(.ok, ComponentJSON.list(runtime.components())) }
        router.on(nil, api + "components/{id...}") { request in
            guard let component = runtime.component(request.parameters["id"] ?? "") else {
                return .text(.notFound, "component not found\n")
            }
            return .json(.ok, ComponentJSON.detail(component))
        }
        router.on(nil, api + "modules/{rest...}") { request in
            let rest = request.parameters["rest"] ?? ""
            guard rest.hasSuffix("/components") else { return .text(.notFound, "not found\n") }
            let module = String(rest.dropLast("/components".count))
            guard runtime.hasModule(module) else { return .text(.notFound, "module not found\n") }
            return .json(.ok, ComponentJSON.list(runtime.components(in: module)))
        }
        router.on(nil, api + "remotecfg/components") { _ in .json(.ok, Array("[]".utf8)) }
        router.on(nil, api + "peers") { _ in
            let name = HostName.current
            return .json(
                .ok,
                Array(
                    "[{\"name\":\(JSONText.quoted(name)),\"addr\":\(JSONText.quoted(services.listenAddress)),\"isSelf\":true,\"state\":\"participant\"}]"
                        .utf8))
        }
        router.on(nil, api + "ledger") { _ in .json(.ok, LedgerJSON.text(runtime.ledger())) }
        router.on(nil, api + "memory") { _ in .json(.ok, MemoryJSON.text(services.budget)) }
        router.on(nil, api + "debug/{id...}") { request in
            LiveStreams.items(request, runtime: runtime, services: services, onlookers: onlookers)
        }
        router.on(nil, api + "graph") { request in
            LiveStreams.rates(request, module: "", runtime: runtime, clock: services.clock, onlookers: onlookers)
        }
        router.on(nil, api + "graph/{module...}") { request in
            LiveStreams.rates(
                request, module: request.parameters["module"] ?? "", runtime: runtime, clock: services.clock,
                onlookers: onlookers)
        }
    }

    /// The pages, what they are made of, and what they ask for beyond Alloy's interface.
    private func addConsole(to router: inout BrowserGuard) {
        let prefix = settings.pathPrefix
        let api = prefix + "api/v0/console/"
        router.on(.get, api + "pipeline") { _ in
            .json(.ok, Array(PipelineJSON.snapshot(runtime, services: services).utf8))
        }
        router.on(.get, api + "stream") { request in
            PipelineStream.events(request, runtime: runtime, services: services, onlookers: onlookers)
        }
        TargetPages(runtime: runtime, services: services).add(to: &router, api)
        router.on(.get, api + "health/{id...}") { request in
            guard let component = runtime.component(request.parameters["id"] ?? "") else {
                return .text(.notFound, "component not found\n")
            }
            return .json(.ok, Array(PipelineJSON.health(of: component).utf8))
        }
        router.on(.get, api + "metrics/{id...}") { request in
            guard let component = runtime.component(request.parameters["id"] ?? "") else {
                return .text(.notFound, "component not found\n")
            }
            return .json(.ok, Array(PipelineJSON.metrics(of: component, services).utf8))
        }
        let explain: HTTPRouter.Route = { request in
            await ExplainPage.answer(request, runtime: runtime, clock: services.clock)
        }
        router.on(.get, api + "explain", explain)
        router.on(.post, api + "explain", explain)
        router.on(.get, api + "status") { _ in .json(.ok, Array(StatusJSON.process(settings, services).utf8)) }
        router.on(.get, api + "configuration") { _ in
            .json(.ok, Array(StatusJSON.configuration(runtime.lastLoad, digest: runtime.runningDigest).utf8))
        }
        router.on(.get, prefix + "assets/{name...}") { request in
            ConsoleAsset.named(request.parameters["name"] ?? "")?.response(to: request)
                ?? .text(.notFound, "not found\n")
        }
        router.onPrefix(nil, prefix) { request in
            guard request.method == .get || request.method == .head else { return .text(.notFound, "not found\n") }
            let rest = request.parameters["rest"] ?? ""
            let view = rest.prefix { $0 != "/" }
            if Self.views.contains(String(view)) { return ConsoleAsset.page(.ok, pathPrefix: prefix) }
            let wantsPage = request.fields.elements("accept").contains { $0.hasPrefix("text/html") }
            return wantsPage && view != "api" && view != "assets" && view != "-"
                ? ConsoleAsset.page(.notFound, pathPrefix: prefix) : .text(.notFound, "not found\n")
        }
    }

    /// What can be said honestly of a native program under these paths; CPU profiles come from `perf`.
    private func addProfiles(to router: inout BrowserGuard) {
        router.on(nil, "/debug/pprof/cmdline") { _ in
            .text(.ok, CommandLine.arguments.joined(separator: "\u{0}"))
        }
        router.on(nil, "/debug/pprof/") { _ in
            .text(
                .ok,
                """
                /debug/pprof/
                cmdline: the command line, arguments separated by NUL bytes
                CPU and heap profiles are taken from outside: perf record -g -p <pid>, heaptrack -p <pid>

                """)
        }
    }

    private func serveComponent(_ request: HTTPServerRequest, _ path: String) async throws -> HTTPServerResponse {
        guard let (handler, rest) = services.handlers.resolve(path) else {
            return .text(.notFound, "failed to find component\n")
        }
        let body = try await request.body.collect(upTo: 16 << 20)
        let response = await handler(
            ComponentRequest(
                method: request.method.name, path: rest, query: request.query.map { ($0.name, $0.value) },
                headers: request.fields.map { ($0.name.lowercased(), $0.value) }, body: body))
        return .bytes(HTTPStatus(response.status), response.body, type: response.contentType)
    }

    private func supportBundle(_ request: HTTPServerRequest) async throws -> HTTPServerResponse {
        var seconds = 30
        if let text = request.query["duration"], !text.isEmpty {
            guard let wanted = Int(text), (1...600).contains(wanted) else {
                return .text(.badRequest, "duration must be a number of seconds from 1 to 600\n")
            }
            seconds = wanted
        }
        let bundle = SupportBundle(
            runtime: runtime, services: services, settings: settings, recentLogs: recentLogs)
        let archive = try await bundle.collect(seconds: seconds)
        var response = HTTPServerResponse.bytes(.ok, archive, type: "application/zip")
        response.fields["content-disposition"] = "attachment; filename=\"alloy-support-bundle.zip\""
        return response
    }
}
