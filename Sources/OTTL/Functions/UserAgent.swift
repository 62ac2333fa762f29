import Wire

/// Name and version of the program and the system a `User-Agent` header speaks of.
///
/// A compact table of what is common: names are those of ua-parser, whose many rarer rules are not here; what is not
/// in the table is "Other".
struct UserAgent: Equatable {
    var name = "Other"
    var version = ""
    var system = "Other"
    var systemVersion = ""

    init(_ text: [UInt8]) {
        guard text.count <= Self.maximumLength else { return }
        if let rule = Self.rules.first(where: { $0.matches(text) }) {
            (name, version) = (rule.name, rule.version(text))
        } else if let (product, number) = Self.appleProduct(text) {
            (name, version) = (product, number)
        }
        (system, systemVersion) = Self.system(text)
    }

    /// Longer headers are "Other".
    static let maximumLength = 8192

    var map: OTLPAnyValue.Map {
        var map = OTLPAnyValue.Map()
        map["user_agent.name"] = .string(Array(name.utf8))
        map["user_agent.version"] = .string(Array(version.utf8))
        map["os.name"] = .string(Array(system.utf8))
        if !systemVersion.isEmpty { map["os.version"] = .string(Array(systemVersion.utf8)) }
        return map
    }

    // MARK: Programs

    /// A program: what its header holds, the first rule that fits counting.
    private struct Rule {
        /// The text right before the version.
        let mark: [UInt8]
        let name: String
        /// How many numbers of the version are told.
        let parts: Int
        /// Text that stands in the header too.
        let with: [UInt8]
        let isAtStart: Bool

        init(_ mark: String, _ name: String? = nil, parts: Int = 3, with: String = "", start: Bool = false) {
            self.mark = Array(mark.utf8)
            self.name = name ?? String(mark.prefix { $0 != "/" && $0 != " " })
            self.parts = parts
            self.with = Array(with.utf8)
            isAtStart = start
        }

        func matches(_ text: [UInt8]) -> Bool {
            let found = isAtStart ? text.starts(with: mark) : Text.firstIndex(of: mark, in: text) != nil
            return found && (with.isEmpty || Text.firstIndex(of: with, in: text) != nil)
        }

        func version(_ text: [UInt8]) -> String {
            guard parts > 0, let place = Text.firstIndex(of: mark, in: text) else { return "" }
            var index = place + mark.count
            if index < text.count, text[index] == UInt8(ascii: "v") { index += 1 }
            return UserAgent.version(text, from: index, parts: parts)
        }
    }

    private static let rules: [Rule] = [
        // Robots, which often call themselves browsers too
        Rule("Googlebot/"), Rule("bingbot/"), Rule("YandexBot/"), Rule("Baiduspider/"), Rule("AhrefsBot/"),
        Rule("SemrushBot/"), Rule("Applebot/"), Rule("GPTBot/"), Rule("ClaudeBot/"), Rule("Twitterbot/"),
        Rule("facebookexternalhit/", "FacebookBot"), Rule("Slackbot-LinkExpanding "), Rule("DuckDuckBot/"),
        Rule("DotBot/"), Rule("MJ12bot/"), Rule("UptimeRobot/"), Rule("PetalBot", parts: 0), Rule("LinkedInBot/"),
        Rule("Discordbot/"), Rule("TelegramBot", parts: 0), Rule("WhatsApp/"),
        // Libraries and tools
        Rule("curl/", start: true), Rule("Wget/", start: true), Rule("Go-http-client/", start: true),
        Rule("python-requests/", "Python Requests", parts: 2, start: true), Rule("Python-urllib/", start: true),
        Rule("aiohttp/", "Python aiohttp", with: "Python/"), Rule("okhttp/", start: true),
        Rule("Apache-HttpClient/", start: true), Rule("Java/1.", "Java", start: true), Rule("Java/", start: true),
        Rule("PostmanRuntime/", start: true), Rule("axios/", start: true), Rule("libwww-perl/", start: true),
        Rule("insomnia/", start: true),
        // Browsers: those first that call themselves others too
        Rule("EdgiOS/", "Edge Mobile", parts: 4), Rule("EdgA/", "Edge Mobile", parts: 4),
        Rule("Edg/", "Edge", parts: 4),
        Rule("Edge/", parts: 4), Rule("OPR/", "Opera Mobile", with: "Mobile"), Rule("OPR/", "Opera"),
        Rule("Vivaldi/"), Rule("YaBrowser/", "Yandex Browser"), Rule("SamsungBrowser/", "Samsung Internet"),
        Rule("HeadlessChrome/"), Rule("Electron/"), Rule("CriOS/", "Chrome Mobile iOS", parts: 4),
        Rule("FxiOS/", "Firefox iOS"), Rule("Thunderbird/"), Rule("Firefox/", "Firefox Mobile", with: "Mobile;"),
        Rule("Firefox/"), Rule("Chrome/", "Chrome Mobile WebView", parts: 4, with: "; wv)"),
        Rule("Chrome/", "Chrome Mobile", parts: 4, with: " Mobile "), Rule("Chrome/", parts: 4),
        Rule("rv:", "IE", with: "Trident/"), Rule("MSIE ", "IE"),
        Rule("Version/", "Mobile Safari", with: "Mobile/"), Rule("Version/", "Safari", with: "Safari/"),
        Rule("Mobile/", "Mobile Safari UI/WKWebView", parts: 0, with: "AppleWebKit/"),
        Rule("Android ", "Android", with: "Dalvik/"),
    ]

    /// The numbers of a version, points between them.
    private static func version(_ text: [UInt8], from start: Int, parts: Int, separator: UInt8 = 0x2E) -> String {
        var index = start
        var numbers: [String] = []
        while numbers.count < parts {
            let first = index
            while index < text.count, text[index] >= 0x30, text[index] <= 0x39 { index += 1 }
            if index == first { break }
            numbers.append(String(decoding: text[first..<index], as: UTF8.self))
            // Java's updates come after an underscore.
            guard index < text.count, text[index] == separator || text[index] == UInt8(ascii: "_") else { break }
            index += 1
        }
        return numbers.joined(separator: ".")
    }

    /// The program of a request made by the libraries of Apple's systems.
    private static func appleProduct(_ text: [UInt8]) -> (String, String)? {
        guard Text.firstIndex(of: Array(" CFNetwork/".utf8), in: text) != nil,
            let slash = text.firstIndex(of: UInt8(ascii: "/")), slash > 0, !text[..<slash].contains(0x20)
        else { return nil }
        return (String(decoding: text[..<slash], as: UTF8.self), version(text, from: slash + 1, parts: 3))
    }

    // MARK: Systems

    private static let windows = [
        "10.0": "10", "6.3": "8.1", "6.2": "8", "6.1": "7", "6.0": "Vista", "5.1": "XP",
    ]

    private static func system(_ text: [UInt8]) -> (String, String) {
        func end(_ mark: String) -> Int? {
            Text.firstIndex(of: Array(mark.utf8), in: text).map { $0 + mark.utf8.count }
        }
        if let place = end("Windows NT ") {
            return ("Windows", windows[version(text, from: place, parts: 2)] ?? "")
        }
        if let place = end("Android ") { return ("Android", version(text, from: place, parts: 3)) }
        if end("like Mac OS X") != nil, let place = end("iPhone OS ") ?? end("CPU OS ") {
            return ("iOS", version(text, from: place, parts: 3))
        }
        if let place = end("Mac OS X ") { return ("Mac OS X", version(text, from: place, parts: 3)) }
        if let place = end("CrOS ") {
            let number = text[place...].firstIndex(of: 0x20).map { $0 + 1 } ?? place
            return ("Chrome OS", version(text, from: number, parts: 3))
        }
        for name in ["Ubuntu", "Fedora"] {
            if let place = end(name) {
                let hasVersion = place < text.count && text[place] == UInt8(ascii: "/")
                return (name, hasVersion ? version(text, from: place + 1, parts: 2) : "")
            }
        }
        return end("Linux") != nil || end("linux") != nil ? ("Linux", "") : ("Other", "")
    }
}
