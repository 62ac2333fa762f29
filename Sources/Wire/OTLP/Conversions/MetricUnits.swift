/// Units as OTLP writes them (UCUM, case sensitive) and as Prometheus spells them in names.
package enum MetricUnits {
    private static let words: [(ucum: String, word: String)] = [
        ("d", "days"), ("h", "hours"), ("min", "minutes"), ("s", "seconds"), ("ms", "milliseconds"),
        ("us", "microseconds"), ("ns", "nanoseconds"),
        ("By", "bytes"), ("KiBy", "kibibytes"), ("MiBy", "mebibytes"), ("GiBy", "gibibytes"), ("TiBy", "tibibytes"),
        ("KBy", "kilobytes"), ("MBy", "megabytes"), ("GBy", "gigabytes"), ("TBy", "terabytes"),
        ("m", "meters"), ("V", "volts"), ("A", "amperes"), ("J", "joules"), ("W", "watts"), ("g", "grams"),
        ("Cel", "celsius"), ("Hz", "hertz"), ("%", "percent"),
    ]

    private static let wordsByUnit: [String: String] = {
        var table = Dictionary(words.map { ($0.ucum, $0.word) }, uniquingKeysWith: { first, _ in first })
        table["1"] = ""
        return table
    }()

    private static let unitsByWord: [String: String] = {
        var table = Dictionary(words.map { ($0.word, $0.ucum) }, uniquingKeysWith: { first, _ in first })
        table["ratio"] = "1"
        return table
    }()

    private static let rates = [
        "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year",
    ]

    /// The UCUM unit of a word; words that are no known unit stay.
    static func ucum(ofWord word: String) -> String { unitsByWord[word] ?? word }

    /// The word for a UCUM unit; units that are not known stay.
    package static func word(ofUnit unit: String) -> String { wordsByUnit[unit] ?? unit }

    /// The word for a unit behind a slash, in the singular.
    package static func rateWord(ofUnit unit: String) -> String { rates[unit] ?? unit }
}
