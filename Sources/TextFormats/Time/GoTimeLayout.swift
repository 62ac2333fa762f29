/// A compiled Go reference layout (`2006-01-02T15:04:05Z07:00`): formats and parses times as Go's `time` package.
///
/// Compile once; `parse` and `append` work on bytes and allocate only for a zone abbreviation longer than 15 bytes.
package struct GoTimeLayout: Sendable {
    enum Element: Sendable, Equatable {
        case literal([UInt8])
        case longMonth, month, numericMonth, zeroMonth
        case longWeekday, weekday
        case day, underDay, zeroDay, underYearDay, zeroYearDay
        case hour, hour12, zeroHour12
        case minute, zeroMinute, second, zeroSecond
        case longYear, year
        case upperPM, lowerPM
        case zoneName
        /// A numeric offset; `isISO` writes and reads `Z` for UTC.
        case offset(isISO: Bool, hasColon: Bool, hasMinutes: Bool, hasSeconds: Bool)
        /// A fraction; `isTrimmed` is the `9` form, which may be absent.
        case fraction(digits: Int, isTrimmed: Bool, separator: UInt8)
    }

    /// The layout as written.
    package let layout: String
    let elements: [Element]
    /// For each element the text of the layout it came from, for error messages.
    let sources: [String]

    /// Compiles `layout`, which may be the text of a layout or the name of one of Go's constants.
    package init(_ layout: String) {
        let text = Self.named[layout] ?? layout
        self.layout = text
        (elements, sources) = Self.compile(Array(text.utf8))
    }

    /// Compiles `layout` as it stands, even where it is the name of a constant.
    package init(verbatim layout: String) {
        self.layout = layout
        (elements, sources) = Self.compile(Array(layout.utf8))
    }

    /// Go's named layouts.
    package static let named: [String: String] = [
        "ANSIC": "Mon Jan _2 15:04:05 2006", "UnixDate": "Mon Jan _2 15:04:05 MST 2006",
        "RubyDate": "Mon Jan 02 15:04:05 -0700 2006", "RFC822": "02 Jan 06 15:04 MST",
        "RFC822Z": "02 Jan 06 15:04 -0700",
        "RFC850": "Monday, 02-Jan-06 15:04:05 MST", "RFC1123": "Mon, 02 Jan 2006 15:04:05 MST",
        "RFC1123Z": "Mon, 02 Jan 2006 15:04:05 -0700", "RFC3339": "2006-01-02T15:04:05Z07:00",
        "RFC3339Nano": "2006-01-02T15:04:05.999999999Z07:00", "Kitchen": "3:04PM", "Stamp": "Jan _2 15:04:05",
        "StampMilli": "Jan _2 15:04:05.000", "StampMicro": "Jan _2 15:04:05.000000",
        "StampNano": "Jan _2 15:04:05.000000000", "DateTime": "2006-01-02 15:04:05", "DateOnly": "2006-01-02",
        "TimeOnly": "15:04:05", "Layout": "01/02 03:04:05PM '06 -0700",
    ]

    /// Whether the layout names a year; without one a parsed time lies in the year 0.
    package var hasYear: Bool { elements.contains(.longYear) || elements.contains(.year) }

    /// Whether the layout names a zone or an offset.
    package var hasZone: Bool {
        elements.contains { element in
            if case .offset = element { return true }
            return element == .zoneName
        }
    }

    // MARK: Compiling

    /// Layout texts in the order they are tried: where one begins with another, the longer comes first.
    private static let tokens: [(text: String, element: Element)] = [
        ("January", .longMonth), ("Jan", .month), ("Monday", .longWeekday), ("Mon", .weekday), ("MST", .zoneName),
        ("002", .zeroYearDay), ("01", .zeroMonth), ("02", .zeroDay), ("03", .zeroHour12), ("04", .zeroMinute),
        ("05", .zeroSecond), ("06", .year), ("15", .hour), ("1", .numericMonth), ("2006", .longYear), ("2", .day),
        ("__2", .underYearDay), ("_2", .underDay), ("3", .hour12), ("4", .minute), ("5", .second), ("PM", .upperPM),
        ("pm", .lowerPM),
        ("-070000", .offset(isISO: false, hasColon: false, hasMinutes: true, hasSeconds: true)),
        ("-07:00:00", .offset(isISO: false, hasColon: true, hasMinutes: true, hasSeconds: true)),
        ("-0700", .offset(isISO: false, hasColon: false, hasMinutes: true, hasSeconds: false)),
        ("-07:00", .offset(isISO: false, hasColon: true, hasMinutes: true, hasSeconds: false)),
        ("-07", .offset(isISO: false, hasColon: false, hasMinutes: false, hasSeconds: false)),
        ("Z070000", .offset(isISO: true, hasColon: false, hasMinutes: true, hasSeconds: true)),
        ("Z07:00:00", .offset(isISO: true, hasColon: true, hasMinutes: true, hasSeconds: true)),
        ("Z0700", .offset(isISO: true, hasColon: false, hasMinutes: true, hasSeconds: false)),
        ("Z07:00", .offset(isISO: true, hasColon: true, hasMinutes: true, hasSeconds: false)),
        ("Z07", .offset(isISO: true, hasColon: false, hasMinutes: false, hasSeconds: false)),
    ]

    private static func compile(_ bytes: [UInt8]) -> ([Element], [String]) {
        var elements: [Element] = []
        var sources: [String] = []
        var literal: [UInt8] = []
        func flush() {
            guard !literal.isEmpty else { return }
            elements.append(.literal(literal))
            sources.append(String(decoding: literal, as: UTF8.self))
            literal.removeAll()
        }
        var index = 0
        while index < bytes.count {
            guard let (element, length) = token(bytes, at: index) else {
                literal.append(bytes[index])
                index += 1
                continue
            }
            flush()
            elements.append(element)
            sources.append(String(decoding: bytes[index..<index + length], as: UTF8.self))
            index += length
        }
        flush()
        return (elements, sources)
    }

    private static func token(_ bytes: [UInt8], at index: Int) -> (Element, Int)? {
        let rest = bytes[index...]
        if rest.first == UInt8(ascii: ".") || rest.first == UInt8(ascii: ",") {
            guard let digit = rest.dropFirst().first, digit == UInt8(ascii: "0") || digit == UInt8(ascii: "9") else {
                return nil
            }
            let count = rest.dropFirst().prefix { $0 == digit }.count
            if let next = rest.dropFirst(1 + count).first, next >= 0x30, next <= 0x39 { return nil }
            guard count <= 9 else { return nil }
            return (.fraction(digits: count, isTrimmed: digit == UInt8(ascii: "9"), separator: bytes[index]), 1 + count)
        }
        // `_2006` is an underscore before a year.
        if rest.starts(with: Array("_2006".utf8)) { return nil }
        for (text, element) in tokens where rest.starts(with: text.utf8) {
            let length = text.utf8.count
            if element == .month || element == .weekday, let next = rest.dropFirst(length).first, next >= 0x61,
                next <= 0x7A
            {
                continue
            }
            return (element, length)
        }
        return nil
    }
}

/// English names, as Go has them.
enum CalendarNames {
    static let months: [String] = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]
    static let weekdays: [String] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    static let monthBytes = months.map { Array($0.utf8) }
    static let weekdayBytes = weekdays.map { Array($0.utf8) }
}
