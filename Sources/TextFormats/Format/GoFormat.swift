/// Go's `fmt` verbs over `GoValue`: the flags, widths, argument indexes and error forms documented at
/// https://pkg.go.dev/fmt.
package enum GoFormat {
    /// Largest width or precision taken, as in Go.
    static let largestWidth = 1_000_000

    /// Formats `arguments` by `format`, as `fmt.Sprintf`.
    package static func sprintf(_ format: String, _ arguments: [GoValue]) -> String {
        var printer = GoPrinter(Array(format.utf8), arguments)
        printer.run()
        return String(decoding: printer.output, as: UTF8.self)
    }

    /// The arguments by `%v`, spaces between operands when neither is a string, as `fmt.Sprint`.
    package static func sprint(_ arguments: [GoValue]) -> String {
        var printer = GoPrinter([], arguments)
        var previousIsString = true
        for (index, argument) in arguments.enumerated() {
            var isString = false
            if case .string = argument { isString = true }
            if index > 0, !isString, !previousIsString { printer.output.append(0x20) }
            printer.print(argument, UInt8(ascii: "v"), GoPrinter.Flags(), depth: 0)
            previousIsString = isString
        }
        return String(decoding: printer.output, as: UTF8.self)
    }

    /// The arguments by `%v` with spaces between and a newline, as `fmt.Sprintln`.
    package static func sprintln(_ arguments: [GoValue]) -> String {
        arguments.map { sprint([$0]) }.joined(separator: " ") + "\n"
    }
}

/// The state of one `Sprintf`.
struct GoPrinter {
    struct Flags {
        var plus = false
        var minus = false
        var sharp = false
        var space = false
        var zero = false
        var width: Int?
        var precision: Int?
    }

    private let format: [UInt8]
    private let arguments: [GoValue]
    private var position = 0
    private var next = 0
    private var isReordered = false
    private var hasGoodIndex = true
    var output: [UInt8] = []

    init(_ format: [UInt8], _ arguments: [GoValue]) {
        self.format = format
        self.arguments = arguments
    }

    mutating func write(_ text: String) { output.append(contentsOf: text.utf8) }

    // MARK: Reading the format

    mutating func run() {
        while position < format.count {
            let start = position
            while position < format.count, format[position] != UInt8(ascii: "%") { position += 1 }
            output.append(contentsOf: format[start..<position])
            if position == format.count { break }
            position += 1
            directive()
        }
        guard !isReordered, next < arguments.count else { return }
        write("%!(EXTRA ")
        for (index, argument) in arguments[next...].enumerated() {
            if index > 0 { write(", ") }
            write(argument.typeName)
            if !argument.isNil {
                write("=")
                print(argument, UInt8(ascii: "v"), Flags(), depth: 0)
            }
        }
        write(")")
    }

    private mutating func directive() {
        var flags = readFlags()
        hasGoodIndex = true
        var afterIndex = readIndex()
        if peek() == UInt8(ascii: "*") {
            position += 1
            flags.width = starArgument()
            if let width = flags.width {
                if width < 0 {
                    flags.width = -width
                    flags.minus = true
                }
            } else {
                write("%!(BADWIDTH)")
            }
            afterIndex = false
        } else if let width = readNumber() {
            flags.width = width
            if afterIndex { hasGoodIndex = false }
        }
        if peek() == UInt8(ascii: ".") {
            position += 1
            if afterIndex { hasGoodIndex = false }
            afterIndex = readIndex()
            if peek() == UInt8(ascii: "*") {
                position += 1
                flags.precision = starArgument()
                if let precision = flags.precision, precision < 0 { flags.precision = nil }
                if flags.precision == nil { write("%!(BADPREC)") }
                afterIndex = false
            } else {
                flags.precision = readNumber() ?? 0
            }
        }
        if !afterIndex { _ = readIndex() }
        guard position < format.count else { return write("%!(NOVERB)") }
        let width = format.withUnsafeBytes { UTF8Bytes.width($0, at: position) }
        let verb = format[position..<position + width]
        position += width
        if verb.first == UInt8(ascii: "%") {
            output.append(UInt8(ascii: "%"))
        } else if !hasGoodIndex {
            write("%!\(String(decoding: verb, as: UTF8.self))(BADINDEX)")
        } else if next >= arguments.count {
            write("%!\(String(decoding: verb, as: UTF8.self))(MISSING)")
        } else {
            let argument = arguments[next]
            next += 1
            if let letter = verb.first, verb.count == 1 {
                print(argument, letter, flags, depth: 0)
            } else {
                bad(argument, String(decoding: verb, as: UTF8.self))
            }
        }
    }

    private func peek() -> UInt8? { position < format.count ? format[position] : nil }

    private mutating func readFlags() -> Flags {
        var flags = Flags()
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: "#"): flags.sharp = true
            case UInt8(ascii: "0"): flags.zero = true
            case UInt8(ascii: "+"): flags.plus = true
            case UInt8(ascii: "-"): flags.minus = true
            case UInt8(ascii: " "): flags.space = true
            default: return flags
            }
            position += 1
        }
        return flags
    }

    private mutating func readNumber() -> Int? {
        let start = position
        var value = 0
        while let byte = peek(), byte >= 0x30, byte <= 0x39 {
            if value <= GoFormat.largestWidth { value = value * 10 + Int(byte - 0x30) }
            position += 1
        }
        return position > start && value <= GoFormat.largestWidth ? value : nil
    }

    /// Reads `[n]`; true when there was one.
    private mutating func readIndex() -> Bool {
        guard peek() == UInt8(ascii: "[") else { return false }
        isReordered = true
        guard let end = format[position...].firstIndex(of: UInt8(ascii: "]")) else {
            hasGoodIndex = false
            position += 1
            return false
        }
        let digits = String(decoding: format[(position + 1)..<end], as: UTF8.self)
        position = end + 1
        guard let index = Int(digits), index >= 1, index <= arguments.count, !digits.hasPrefix("+") else {
            hasGoodIndex = false
            return true
        }
        next = index - 1
        return true
    }

    private mutating func starArgument() -> Int? {
        guard next < arguments.count else { return nil }
        let argument = arguments[next]
        next += 1
        var value: Int?
        if case .int(let number) = argument { value = Int(number) }
        if case .uint(let number) = argument { value = Int(exactly: number) }
        return value.flatMap { $0.magnitude <= UInt(GoFormat.largestWidth) ? $0 : nil }
    }

    // MARK: Printing

    mutating func bad(_ argument: GoValue, _ verb: String) {
        write("%!\(verb)(")
        if argument.isNil {
            write("<nil>")
        } else {
            write(argument.typeName + "=")
            print(argument, UInt8(ascii: "v"), Flags(), depth: 0)
        }
        write(")")
    }

    mutating func print(_ argument: GoValue, _ verb: UInt8, _ flags: Flags, depth: Int) {
        if depth > 100 { return write("...") }
        if verb == UInt8(ascii: "T") { return pad(Array(argument.typeName.utf8), flags) }
        if verb == UInt8(ascii: "p") {
            guard case .map(let map) = argument else { return bad(argument, "p") }
            let address = UInt64(UInt(bitPattern: Unmanaged.passUnretained(map).toOpaque()))
            return pad(Array("0x\(String(address, radix: 16))".utf8), flags)
        }
        let isGoSyntax = flags.sharp && verb == UInt8(ascii: "v")
        let letter = String(decoding: [verb], as: UTF8.self)
        switch argument {
        case .nil:
            if verb == UInt8(ascii: "v") { pad(Array("<nil>".utf8), flags) } else { bad(argument, letter) }
        case .bool(let value):
            guard verb == UInt8(ascii: "v") || verb == UInt8(ascii: "t") else { return bad(argument, letter) }
            pad(Array((value ? "true" : "false").utf8), flags)
        case .int(let value):
            integer(value.magnitude, value < 0, true, verb, flags, argument)
        case .uint(let value):
            integer(value, false, false, verb, flags, argument)
        case .float(let value):
            float(value, verb, flags, argument)
        case .string(let value):
            string(value, verb, flags, argument)
        case .list(let elements):
            write(isGoSyntax ? "[]interface {}{" : "[")
            for (index, element) in elements.enumerated() {
                if index > 0 { write(isGoSyntax ? ", " : " ") }
                print(element, verb, flags, depth: depth + 1)
            }
            write(isGoSyntax ? "}" : "]")
        case .map(let map):
            write(isGoSyntax ? "map[string]interface {}{" : "map[")
            let entries = map.entries
            for (index, key) in map.sortedKeys.enumerated() {
                if index > 0 { write(isGoSyntax ? ", " : " ") }
                print(.string(key), verb, flags, depth: depth + 1)
                write(":")
                print(entries[key] ?? .nil, verb, flags, depth: depth + 1)
            }
            write(isGoSyntax ? "}" : "]")
        case .time(let time):
            string(time.description, verb, flags, argument)
        case .duration(let nanoseconds):
            if isGoSyntax || !"vsq".utf8.contains(verb) {
                integer(nanoseconds.magnitude, nanoseconds < 0, true, verb, flags, argument)
            } else {
                string(GoDuration.format(nanoseconds: nanoseconds), verb, flags, argument)
            }
        }
    }

    /// Writes `bytes` padded to the width, which counts characters.
    mutating func pad(_ bytes: [UInt8], _ flags: Flags) {
        let length = bytes.withUnsafeBytes { raw in
            var count = 0
            var index = 0
            while index < raw.count {
                index += UTF8Bytes.width(raw, at: index)
                count += 1
            }
            return count
        }
        let padding = max(0, (flags.width ?? 0) - length)
        let filler = flags.zero && !flags.minus ? UInt8(ascii: "0") : 0x20
        if !flags.minus { output.append(contentsOf: repeatElement(filler, count: padding)) }
        output.append(contentsOf: bytes)
        if flags.minus { output.append(contentsOf: repeatElement(0x20, count: padding)) }
    }
}
