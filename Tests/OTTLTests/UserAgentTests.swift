import Testing
import Wire

@testable import OTTL

@Suite("OTTL user agents")
struct UserAgentTests {
    /// What many headers have in common.
    static let shared = [
        "{M}": "Mozilla/5.0 (", "{W}": "AppleWebKit/537.36 (KHTML, like Gecko)", "{S}": "Safari/537.36",
        "{A}": "AppleWebKit/605.1.15 (KHTML, like Gecko)",
    ]

    /// A header, and name and version of the program and of the system.
    static let cases: [(String, String)] = [
        (
            "{M}Windows NT 10.0; Win64; x64) {W} Chrome/126.0.0.0 {S}",
            "Chrome|126.0.0.0|Windows|10"
        ),
        (
            "{M}X11; Linux x86_64) {W} Chrome/131.0.6778.85 {S}",
            "Chrome|131.0.6778.85|Linux|"
        ),
        (
            "{M}Macintosh; Intel Mac OS X 10_15_7) {W} Chrome/126.0.0.0 {S}",
            "Chrome|126.0.0.0|Mac OS X|10.15.7"
        ),
        (
            "{M}X11; CrOS x86_64 14541.0.0) {W} Chrome/126.0.0.0 {S}",
            "Chrome|126.0.0.0|Chrome OS|14541.0.0"
        ),
        (
            "{M}Linux; Android 14; Pixel 8) {W} Chrome/126.0.6478.71 Mobile {S}",
            "Chrome Mobile|126.0.6478.71|Android|14"
        ),
        (
            "{M}Linux; Android 10; K) {W} Chrome/126.0.0.0 {S}",
            "Chrome|126.0.0.0|Android|10"
        ),
        (
            "{M}Linux; Android 13; SM-S901B; wv) {W} Version/4.0 Chrome/120.0.6099.43 Mobile {S}",
            "Chrome Mobile WebView|120.0.6099.43|Android|13"
        ),
        (
            "{M}iPhone; CPU iPhone OS 17_5_1 like Mac OS X) {A} CriOS/126.0.6478.35 Mobile/15E148 Safari/604.1",
            "Chrome Mobile iOS|126.0.6478.35|iOS|17.5.1"
        ),
        (
            "{M}iPhone; CPU iPhone OS 17_5_1 like Mac OS X) {A} Version/17.5 Mobile/15E148 Safari/604.1",
            "Mobile Safari|17.5|iOS|17.5.1"
        ),
        (
            "{M}iPad; CPU OS 16_6 like Mac OS X) {A} Version/16.6 Mobile/15E148 Safari/604.1",
            "Mobile Safari|16.6|iOS|16.6"
        ),
        (
            "{M}iPhone; CPU iPhone OS 16_1 like Mac OS X) {A} Mobile/15E148",
            "Mobile Safari UI/WKWebView||iOS|16.1"
        ),
        (
            "{M}iPhone; CPU iPhone OS 17_4 like Mac OS X) {A} FxiOS/127.0 Mobile/15E148 Safari/605.1.15",
            "Firefox iOS|127.0|iOS|17.4"
        ),
        (
            "{M}iPhone; CPU iPhone OS 17_4 like Mac OS X) {A} EdgiOS/126.0.2592.56 Version/17.0 Mobile/15E148 Safari/604.1",
            "Edge Mobile|126.0.2592.56|iOS|17.4"
        ),
        (
            "{M}Macintosh; Intel Mac OS X 10_15_7) {A} Version/17.4.1 Safari/605.1.15",
            "Safari|17.4.1|Mac OS X|10.15.7"
        ),
        (
            "{M}Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
            "Firefox|127.0|Windows|10"
        ),
        (
            "{M}X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
            "Firefox|115.0|Ubuntu|"
        ),
        (
            "{M}X11; Fedora; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
            "Firefox|120.0|Fedora|"
        ),
        (
            "{M}Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0",
            "Firefox|127.0|Mac OS X|10.15"
        ),
        (
            "{M}Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0",
            "Firefox Mobile|127.0|Android|14"
        ),
        (
            "{M}Windows NT 10.0; Win64; x64) {W} Chrome/126.0.0.0 {S} Edg/126.0.2592.68",
            "Edge|126.0.2592.68|Windows|10"
        ),
        (
            "{M}Windows NT 10.0; Win64; x64) {W} Chrome/64.0.3282.140 {S} Edge/18.17763",
            "Edge|18.17763|Windows|10"
        ),
        (
            "{M}Linux; Android 10; HD1913) {W} Chrome/126.0.6478.61 Mobile {S} EdgA/125.0.2535.60",
            "Edge Mobile|125.0.2535.60|Android|10"
        ),
        (
            "{M}Windows NT 10.0; Win64; x64) {W} Chrome/124.0.0.0 {S} OPR/110.0.5130.39",
            "Opera|110.0.5130|Windows|10"
        ),
        (
            "{M}Linux; Android 13; SM-G991B) {W} Chrome/124.0.6367.82 Mobile {S} OPR/82.2.4342.79411",
            "Opera Mobile|82.2.4342|Android|13"
        ),
        (
            "{M}Windows NT 6.1; WOW64) {W} Chrome/109.0.0.0 {S} Vivaldi/5.6.2867.62",
            "Vivaldi|5.6.2867|Windows|7"
        ),
        (
            "{M}Windows NT 10.0; Win64; x64) {W} Chrome/122.0.0.0 YaBrowser/24.4.0.0 {S}",
            "Yandex Browser|24.4.0|Windows|10"
        ),
        (
            "{M}Linux; Android 14; SAMSUNG SM-S928B) {W} SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile {S}",
            "Samsung Internet|25.0|Android|14"
        ),
        (
            "{M}X11; Linux x86_64) {W} HeadlessChrome/124.0.6367.60 {S}",
            "HeadlessChrome|124.0.6367|Linux|"
        ),
        (
            "{M}Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
            "IE|11.0|Windows|10"
        ),
        (
            "{M}compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
            "IE|10.0|Windows|8"
        ),
        (
            "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)",
            "IE|8.0|Windows|7"
        ),
        (
            "{M}Macintosh; Intel Mac OS X 10_15_7) {W} Code/1.90.0 Chrome/122.0.6261.156 Electron/29.4.0 {S}",
            "Electron|29.4.0|Mac OS X|10.15.7"
        ),
        (
            "{M}compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Googlebot|2.1|Other|"
        ),
        (
            "{M}Linux; Android 6.0.1; Nexus 5X Build/MMB29P) {W} Chrome/126.0.6478.61 Mobile {S} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Googlebot|2.1|Android|6.0.1"
        ),
        (
            "{M}compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
            "bingbot|2.0|Other|"
        ),
        (
            "{M}compatible; YandexBot/3.0; +http://yandex.com/bots)",
            "YandexBot|3.0|Other|"
        ),
        (
            "{M}compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
            "Baiduspider|2.0|Other|"
        ),
        (
            "{M}compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
            "AhrefsBot|7.0|Other|"
        ),
        (
            "{M}compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
            "SemrushBot|7|Other|"
        ),
        (
            "{M}Macintosh; Intel Mac OS X 10_15_5) {A} Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)",
            "Applebot|0.1|Mac OS X|10.15.5"
        ),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            "GPTBot|1.2|Other|"
        ),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
            "ClaudeBot|1.0|Other|"
        ),
        (
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "FacebookBot|1.1|Other|"
        ),
        (
            "Twitterbot/1.0",
            "Twitterbot|1.0|Other|"
        ),
        (
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "Slackbot-LinkExpanding|1.0|Other|"
        ),
        (
            "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)",
            "DuckDuckBot|1.1|Other|"
        ),
        (
            "{M}compatible; DotBot/1.2; +https://opensiteexplorer.org/dotbot; help@moz.com)",
            "DotBot|1.2|Other|"
        ),
        (
            "{M}compatible; MJ12bot/v1.4.8; http://mj12bot.com/)",
            "MJ12bot|1.4.8|Other|"
        ),
        (
            "curl/8.5.0",
            "curl|8.5.0|Other|"
        ),
        (
            "Wget/1.21.4",
            "Wget|1.21.4|Other|"
        ),
        (
            "Go-http-client/2.0",
            "Go-http-client|2.0|Other|"
        ),
        (
            "python-requests/2.31.0",
            "Python Requests|2.31|Other|"
        ),
        (
            "Python-urllib/3.11",
            "Python-urllib|3.11|Other|"
        ),
        (
            "Python/3.11 aiohttp/3.9.1",
            "Python aiohttp|3.9.1|Other|"
        ),
        (
            "python-httpx/0.27.0",
            "Other||Other|"
        ),
        (
            "okhttp/4.12.0",
            "okhttp|4.12.0|Other|"
        ),
        (
            "Apache-HttpClient/4.5.14 (Java/17.0.9)",
            "Apache-HttpClient|4.5.14|Other|"
        ),
        (
            "Java/17.0.6",
            "Java|17.0.6|Other|"
        ),
        (
            "Java/1.8.0_402",
            "Java|8.0.402|Other|"
        ),
        (
            "PostmanRuntime/7.39.0",
            "PostmanRuntime|7.39.0|Other|"
        ),
        (
            "axios/1.7.2",
            "axios|1.7.2|Other|"
        ),
        (
            "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
            "Other||Other|"
        ),
        (
            "kube-probe/1.29",
            "Other||Other|"
        ),
        (
            "kubelet/v1.29.4 (linux/amd64) kubernetes/55019c8",
            "Other||Linux|"
        ),
        (
            "kubectl/v1.29.4 (linux/amd64) kubernetes/55019c8",
            "Other||Linux|"
        ),
        (
            "Prometheus/2.53.0",
            "Other||Other|"
        ),
        (
            "Grafana/11.0.0",
            "Other||Other|"
        ),
        (
            "ELB-HealthChecker/2.0",
            "Other||Other|"
        ),
        (
            "GoogleHC/1.0",
            "Other||Other|"
        ),
        (
            "libwww-perl/6.67",
            "libwww-perl|6.67|Other|"
        ),
        (
            "Ruby",
            "Other||Other|"
        ),
        (
            "GuzzleHttp/7",
            "Other||Other|"
        ),
        (
            "Jakarta Commons-HttpClient/3.1",
            "Other||Other|"
        ),
        (
            "Dalvik/2.1.0 (Linux; U; Android 13; SM-A536B Build/TP1A.220624.014)",
            "Android|13|Android|13"
        ),
        (
            "{M}Windows NT 6.3; Win64; x64; rv:115.0) Gecko/20100101 Firefox/115.0",
            "Firefox|115.0|Windows|8.1"
        ),
        (
            "{M}Windows NT 10.0; Win64; x64; rv:115.0) Gecko/20100101 Thunderbird/115.12.2",
            "Thunderbird|115.12.2|Windows|10"
        ),
        (
            "Reactor-Netty/1.1.18",
            "Other||Other|"
        ),
        (
            "Envoy/HC",
            "Other||Other|"
        ),
        (
            "Amazon CloudFront",
            "Other||Other|"
        ),
        (
            "insomnia/9.2.0",
            "insomnia|9.2.0|Other|"
        ),
        (
            "git/2.43.0",
            "Other||Other|"
        ),
        (
            "Elastic-Heartbeat/8.14.0 (linux; amd64)",
            "Other||Linux|"
        ),
        (
            "UptimeRobot/2.0",
            "UptimeRobot|2.0|Other|"
        ),
        (
            "{M}compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
            "UptimeRobot|2.0|Other|"
        ),
        (
            "{M}compatible; PetalBot;+https://webmaster.petalsearch.com/site/petalbot)",
            "PetalBot||Other|"
        ),
        (
            "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
            "LinkedInBot|1.0|Other|"
        ),
        (
            "Discordbot/2.0",
            "Discordbot|2.0|Other|"
        ),
        (
            "{M}compatible; Discordbot/2.0; +https://discordapp.com)",
            "Discordbot|2.0|Other|"
        ),
        (
            "TelegramBot (like TwitterBot)",
            "TelegramBot||Other|"
        ),
        (
            "WhatsApp/2.23.20.0",
            "WhatsApp|2.23.20|Other|"
        ),
        (
            "containerd/1.7.2",
            "Other||Other|"
        ),
        (
            "OpenTelemetry Collector Contrib/0.104.0 (linux/amd64)",
            "Other||Linux|"
        ),
        (
            "OTel-OTLP-Exporter-Python/1.25.0",
            "Other||Other|"
        ),
        (
            "grpc-go/1.64.0",
            "Other||Other|"
        ),
    ]

    @Test("Common programs are known by name", arguments: cases)
    func known(_ text: String, _ expected: String) {
        var header = text
        for (short, long) in Self.shared { header = header.replacing(short, with: long) }
        let agent = UserAgent(Array(header.utf8))
        let found = [agent.name, agent.version, agent.system, agent.systemVersion].joined(separator: "|")
        #expect(found == expected, "\(text)")
    }

    @Test("The converter answers with attributes; without a version of the system there is none")
    func attributes() throws {
        #expect(
            try Fixture.value("UserAgent(\"curl/8.5.0\")")
                == .object(
                    ("user_agent.name", "curl"), ("user_agent.version", "8.5.0"), ("os.name", "Other"),
                    ("user_agent.original", "curl/8.5.0")))
        let long = String(repeating: "Android ", count: 2_000)
        #expect(UserAgent(Array(long.utf8)).name == "Other")
        #expect(throws: OTTLError.self) { try Fixture.value("UserAgent(1)") }
    }
}
