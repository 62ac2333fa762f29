import Synchronization

/// The functions of sprig v3 (`TxtFuncMap`, http://masterminds.github.io/sprig/) and those Alloy's `stage.template` adds.
///
/// Refused when a template that names them is compiled, because they make keys or certificates, need slow key
/// derivation, or reach for the network: `bcrypt`, `buildCustomCert`, `decryptAES`, `derivePassword`, `encryptAES`,
/// `genCA`, `genCAWithKey`, `genPrivateKey`, `genSelfSignedCert`, `genSelfSignedCertWithKey`, `genSignedCert`,
/// `genSignedCertWithKey`, `getHostByName`, `htpasswd`.
///
/// Deviations: `semver` gives a map with the version's parts instead of an object; maps are walked in key order where
/// Go's order is random (`keys`, `values`); integers are one type, so `typeOf` says `int` where Go may say `int64`;
/// what panics in Go is an error here.
package struct SprigFunctions: Sendable {
    typealias Function = GoTemplate.Function

    private let now: @Sendable () -> GoTime
    private let local: GoTimeZone
    let expressions = ExpressionCache()

    /// `now` is the clock of the date functions; `local` the zone Go would call `Local`.
    package init(local: GoTimeZone = .utc, now: @escaping @Sendable () -> GoTime) {
        self.local = local
        self.now = now
    }

    /// Functions by name, for `GoTemplate`; compiled expressions are shared by the templates that get one table.
    package var table: [String: GoTemplate.Function] {
        var table: [String: Function] = [:]
        let groups: [[String: Function]] = [
            Self.strings, Self.moreStrings, Self.numbers, Self.lists, Self.maps, Self.defaults, Self.paths,
            Self.encodings,
            Self.random, Self.refused, regularExpressions, dates, Self.semanticVersions, Self.urls, Self.alloy,
        ]
        for group in groups { table.merge(group) { _, later in later } }
        return table
    }

    /// Largest text or list one call may make, in bytes or elements.
    static let largestText = 4 << 20
    static let largestList = 100_000

    static let refused: [String: Function] = {
        var table: [String: Function] = [:]
        let reasons: [(String, [String])] = [
            (
                "it makes keys or certificates",
                [
                    "buildCustomCert", "genCA", "genCAWithKey", "genPrivateKey", "genSelfSignedCert",
                    "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
                ]
            ),
            (
                "it derives or uses keys slowly for every line",
                ["bcrypt", "decryptAES", "derivePassword", "encryptAES", "htpasswd"]
            ),
            ("it reaches for the network", ["getHostByName"]),
        ]
        for (reason, names) in reasons {
            for name in names { table[name] = .unsupported(reason) }
        }
        return table
    }()

    /// What `stage.template` adds to sprig.
    static let alloy: [String: Function] = [
        "ToLower": Function([.string]) { .string(TextTools.lower($0[0].text)) },
        "ToUpper": Function([.string]) { .string(TextTools.upper($0[0].text)) },
        "Replace": Function([.string, .string, .string, .int]) { values in
            .string(
                try TextTools.replace(values[0].text, values[1].text, values[2].text, limit: Casting.int(values[3])))
        },
        "Trim": Function([.string, .string]) { .string(TextTools.trim($0[0].text, $0[1].text)) },
        "TrimLeft": Function([.string, .string]) { .string(TextTools.trim($0[0].text, $0[1].text, right: false)) },
        "TrimRight": Function([.string, .string]) { .string(TextTools.trim($0[0].text, $0[1].text, left: false)) },
        "TrimPrefix": Function([.string, .string]) { .string(TextTools.trimPrefix($0[0].text, $0[1].text)) },
        "TrimSuffix": Function([.string, .string]) { .string(TextTools.trimSuffix($0[0].text, $0[1].text)) },
        "TrimSpace": Function([.string]) { .string($0[0].text.trimmedSpace) },
        "Hash": Function([.string, .string]) { .string(Hex.encode(SHA3_256.digest($0[0].text + $0[1].text))) },
        "Sha2Hash": Function([.string, .string]) { .string(Hex.encode(SHA256.digest($0[0].text + $0[1].text))) },
    ]

    private var dates: [String: Function] {
        let (now, local) = (now, local)
        return SprigDates(now: now, local: local).table
    }
}

/// Expressions compiled while templates run, at most 64 of them.
final class ExpressionCache: Sendable {
    private let expressions = Mutex<[String: RegularExpression]>([:])

    func expression(_ pattern: String) throws -> RegularExpression {
        if let known = expressions.withLock({ $0[pattern] }) { return known }
        let made = try RegularExpression(pattern)
        expressions.withLock { known in
            if known.count >= 64 { known.removeAll() }
            known[pattern] = made
        }
        return made
    }
}

/// Conversions as the `cast` library behind sprig makes them: what cannot be converted is zero.
enum Casting {
    static func int64(_ value: GoValue) -> Int64 {
        switch value {
        case .bool(let flag): return flag ? 1 : 0
        case .int(let number), .duration(let number): return number
        case .uint(let number): return Int64(truncatingIfNeeded: number)
        case .float(let number): return number.isNaN ? 0 : Int64(exactly: number.rounded(.towardZero)) ?? .min
        case .string(let text):
            var digits = text
            // "12.00" counts as an integer, "12.5" does not.
            if let point = text.firstIndex(of: "."), text[text.index(after: point)...].allSatisfy({ $0 == "0" }) {
                digits = String(text[..<point])
            }
            return GoNumber.parseInt(digits, base: 0) ?? 0
        default: return 0
        }
    }

    static func int(_ value: GoValue) -> Int { Int(int64(value)) }

    static func double(_ value: GoValue) -> Double {
        switch value {
        case .bool(let flag): flag ? 1 : 0
        case .int(let number), .duration(let number): Double(number)
        case .uint(let number): Double(number)
        case .float(let number): number
        case .string(let text): GoNumber.parseFloat(text) ?? 0
        default: 0
        }
    }

    static func list(_ value: GoValue, for name: String) throws -> [GoValue] {
        switch value {
        case .list(let elements): return elements
        default: throw TextFormatError("Cannot \(name) on type \(value.kindName)")
        }
    }

    static func map(_ value: GoValue) -> GoMap {
        if case .map(let map) = value { return map }
        return GoMap()
    }

    /// A list of texts: elements that are nil are left out, a single value is a list of one.
    static func strings(_ value: GoValue) -> [String] {
        switch value {
        case .list(let elements): elements.filter { !$0.isNil }.map(\.text)
        case .nil: []
        default: [value.text]
        }
    }
}
