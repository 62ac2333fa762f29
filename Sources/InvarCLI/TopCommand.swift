import ArgumentParser
import Essentials
import Glibc
import TextFormats
import Transport

/// `invar top`: a running program's components in the terminal, like processes.
struct TopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Show what a running invar passes, drops and holds, component by component.",
        discussion: """
            Asks the program's HTTP server again and again until interrupted. Where standard output is no terminal, one \
            table is printed.
            """)

    @Option(help: "Where the program listens, with the UI path prefix when it has one.")
    var address = "http://127.0.0.1:12345"
    @Option(help: "Seconds between two looks, from 1 to 60.") var interval = 2
    @Option(help: "What rows are sorted by: id, in, out, dropped or held.") var sort = "in"
    @Flag(help: "Print one table and end.") var once = false
    @Option(help: "User name, where the http block asks for one.") var username: String?
    @Option(help: "File with the password.") var passwordFile: String?
    @Option(help: "File with the certificates of the authority the server's is checked against.") var caFile: String?

    func run() async throws {
        guard (1...60).contains(interval) else {
            throw CommandFailure("Error: --interval must be from 1 to 60, not \(interval)")
        }
        guard let order = TopTable.Order(rawValue: sort) else {
            let known = TopTable.Order.allCases.map(\.rawValue).joined(separator: ", ")
            throw CommandFailure("Error: --sort must be one of \(known), not \"\(sort)\"")
        }
        let text = address.contains("://") ? address : "http://" + address
        guard let url = HTTPURL(text + (text.hasSuffix("/") ? "" : "/") + "api/v0/console/pipeline") else {
            throw CommandFailure("Error: --address: \"\(address)\" is not an address")
        }
        var settings = HTTPClientSettings()
        settings.requestTimeout = .seconds(30)
        if let username {
            settings.authorisation = .basic(username: username, password: passwordFile.map { .file($0) })
        }
        settings.tls.caFile = caFile
        let client = HTTPClient(settings, on: EventLoops(threads: 1))
        let isTerminal = isatty(STDOUT_FILENO) == 1
        var before = try await look(client, url)
        repeat {
            try await EngineClock.system.sleep(for: .seconds(interval))
            let now = try await look(client, url)
            let size = Self.terminalSize
            let table = TopTable(from: before, to: now, order: order)
            let lines = table.lines(width: isTerminal ? size.width : 200, height: isTerminal ? size.height - 1 : .max)
            // Home, each line cleared to its end, the rest of the screen cleared.
            let page =
                isTerminal && !once
                ? "\u{1B}[H" + lines.map { $0 + "\u{1B}[K\n" }.joined() + "\u{1B}[J" : lines.map { $0 + "\n" }.joined()
            writeOutput(Array(page.utf8))
            before = now
        } while isTerminal && !once
    }

    private func look(_ client: HTTPClient, _ url: HTTPURL) async throws -> TopTable.Moment {
        let body: [UInt8]
        let status: HTTPStatus
        do {
            let response = try await client.send(HTTPClientRequest(.get, url))
            status = response.status
            body = try await response.collect()
        } catch {
            throw CommandFailure("Error: no answer from \(address): \(error). Is invar running there?")
        }
        guard status.isSuccess else {
            let hint = status == .unauthorized ? "; give --username and --password-file" : ""
            throw CommandFailure("Error: \(address) answers \(status)\(hint)")
        }
        guard let answer = try? JSONValue(parsing: body), let moment = TopTable.Moment(answer) else {
            throw CommandFailure("Error: what answers at \(address) is not invar's HTTP server")
        }
        return moment
    }

    private static var terminalSize: (width: Int, height: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (120, 40)
        }
        return (max(40, Int(size.ws_col)), max(8, Int(size.ws_row)))
    }
}
