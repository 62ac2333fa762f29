import Glibc

/// What the load consists of, from the command line: `--targets 100 --series 1000 --churn 10 --dropped-code 500`.
struct Options {
    var targets = 100
    /// Series of each target.
    var series = 1000
    /// Percent of the series that are new at each scrape: 0, or a divisor of 100.
    var churn = 0
    /// Series with this `code` are dropped on the way and must not arrive.
    var droppedCode = ""
    /// Distinguishes runs that share a machine: the third byte block of the targets' loopback addresses.
    var network = 1

    static let codes = ["200", "201", "404", "429", "500"]

    init(_ arguments: [String]) {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { die("\(name) has no value") }
            switch name {
            case "--targets": targets = Self.number(name, value)
            case "--series": series = Self.number(name, value)
            case "--churn": churn = Self.number(name, value)
            case "--network": network = Self.number(name, value)
            case "--dropped-code": droppedCode = value
            default: die("unknown option \(name)")
            }
        }
        if targets < 1 || series < 1 || targets * series > 1 << Value.seriesBits { die("too many series") }
        if churn != 0, churn < 0 || 100 % churn != 0 { die("--churn must be a divisor of 100") }
        if network < 1 || network > 254 { die("--network must be 1 to 254") }
    }

    private static func number(_ name: String, _ value: String) -> Int {
        guard let number = Int(value) else { die("\(name) is not a number: \(value)") }
        return number
    }

    /// Whether the series with this index in its target is dropped on the way.
    func isDropped(_ index: Int) -> Bool { Self.codes[index % Self.codes.count] == droppedCode }

    /// Loopback address of target number `target`.
    func address(of target: Int) -> (UInt8, UInt8, UInt8, UInt8) {
        (127, UInt8(network), UInt8(target / 250), UInt8(target % 250 + 1))
    }
}

/// The value of a sample: which series it is of and which scrape it is from, exact in a double, always of eleven digits.
enum Value {
    static let seriesBits = 21
    static let base = 10_000_000_000
    static let digits = 11

    static func encode(series: Int, scrape: Int) -> Int { base + scrape << seriesBits + series }

    /// Nil when no sample has this value.
    static func decode(_ value: Double) -> (series: Int, scrape: Int)? {
        guard value >= Double(base), value < 1e11, let whole = Int(exactly: value) else { return nil }
        return ((whole - base) & (1 << seriesBits - 1), (whole - base) >> seriesBits)
    }
}

func die(_ message: String) -> Never {
    let bytes = Array("pipeline-load: \(message)\n".utf8)
    bytes.withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress!, $0.count) }
    exit(2)
}
