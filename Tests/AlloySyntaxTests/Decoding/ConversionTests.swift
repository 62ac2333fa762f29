import AlloySyntax
import Essentials
import Testing

@Suite struct ConversionTests {
    private func check<T: AlloyDecodable & AlloyEncodable>(
        _ value: Value, _ type: T.Type, _ expected: Value, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        do {
            let read = try T(alloy: value).alloyValue
            #expect(read == expected, sourceLocation: sourceLocation)
        } catch {
            Issue.record(error, sourceLocation: sourceLocation)
        }
    }

    private func refuse<T: AlloyDecodable>(
        _ value: Value, _ type: T.Type, _ message: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: ValueError.self, sourceLocation: sourceLocation) { try T(alloy: value) }
        #expect(error?.description == message, sourceLocation: sourceLocation)
    }

    @Test("Text reads from strings and numbers, never from secrets")
    func strings() {
        check("a", String.self, "a")
        check(5, String.self, "5")
        check(1.50, String.self, "1.5")
        check(.null, String.self, "")
        check(.optionalSecret(.plain("p")), String.self, "p")
        refuse(true, String.self, "expected string, got bool")
        refuse(.secret(Secret("x")), String.self, "secrets may not be converted into strings")
        refuse(.optionalSecret(.secret(Secret("x"))), String.self, "secrets may not be converted into strings")
    }

    @Test("Numbers read from numbers and from text that spells one")
    func numbers() {
        check(5, Int.self, 5)
        check(5.9, Int.self, 5)
        check(-5.9, Int.self, -5)
        check("12", UInt8.self, 12)
        check("-12", Int8.self, -12)
        check("1e2", Int.self, 100)
        check("1.5", Double.self, 1.5)
        check(.null, Int.self, 0)
        check(.optionalSecret(.plain("7")), Int.self, 7)
        check(.number(.uint(.max)), UInt64.self, .number(.uint(.max)))
        refuse(300, UInt8.self, "should be a number between 0 and 255")
        refuse(-1, UInt.self, "should be a number between 0 and 18446744073709551615")
        refuse(.float(.infinity), Int.self, "should be a number between -9223372036854775808 and 9223372036854775807")
        refuse(.float(.nan), Int8.self, "should be a number between -128 and 127")
        refuse("", Int.self, "expected number, got string")
        refuse("0x10", Int.self, "expected number, got string")
        refuse("+5", Int.self, "expected number, got string")
        refuse("nan.", Double.self, "expected number, got string")
        refuse("1e999", Double.self, "expected number, got string")
        refuse(true, Int.self, "expected number, got bool")
        refuse(.secret(Secret("5")), Int.self, "expected number, got capsule")
    }

    @Test("Booleans read from booleans only")
    func booleans() {
        check(true, Bool.self, true)
        check(.null, Bool.self, false)
        refuse("true", Bool.self, "expected bool, got string")
        refuse(1, Bool.self, "expected bool, got number")
    }

    @Test("Durations read from Go's spelling")
    func durations() {
        check("1h2m3.5s", Duration.self, "1h2m3.5s")
        check("90s", Duration.self, "1m30s")
        check(0, Duration.self, "0s")
        check(.null, Duration.self, "0s")
        check("-5ms", Duration.self, "-5ms")
        refuse(5, Duration.self, "time: missing unit in duration \"5\"")
        refuse("x", Duration.self, "time: invalid duration \"x\"")
        refuse(true, Duration.self, "expected string, got bool")
    }

    @Test("Secrets read from text and optional secrets, and stay secrets")
    func secrets() {
        check("x", Secret<String>.self, .secret(Secret("x")))
        check(.optionalSecret(.plain("x")), Secret<String>.self, .secret(Secret("x")))
        check(.secret(Secret("x")), OptionalSecret.self, .optionalSecret(.secret(Secret("x"))))
        check("x", OptionalSecret.self, .optionalSecret(.plain("x")))
        refuse(5, Secret<String>.self, "expected capsule, got number")
        refuse([], OptionalSecret.self, "expected capsule, got array")
        #expect([String: [Secret<String>]].alloyTypeName == "map(list(secret))")
    }

    private struct Labels: CapsuleValue, AlloyDecodable, AlloyEncodable, Equatable {
        static let capsuleName = "Target"
        static let placeholder = Labels(pairs: [:])
        var pairs: [String: String]
        var alloyObject: ObjectValue? { ObjectValue(pairs.mapValues { .string($0) }) }

        static func converted(from value: Value) throws(ValueError) -> Labels? {
            guard value.type == .object else { return nil }
            return Labels(pairs: try [String: String](alloy: value))
        }
    }

    @Test("Collections name the element that does not fit")
    func collections() {
        check(["a", 1], [String].self, ["a", "1"])
        check(.null, [String].self, [])
        check(.object(["a": 1]), [String: Int].self, .object(["a": 1]))
        check([.null, 1], [Int?].self, [.null, 1])
        refuse("a", [String].self, "expected array, got string")
        refuse([["a"], [true]], [[String]].self, "[1][0] expected string, got bool")
        refuse(.object(["a": [1, "x"]]), [String: [Int]].self, ".a[1] expected number, got string")
        refuse([], [String: Int].self, "expected object, got array")
    }

    @Test("Targets read as objects, and objects as targets")
    func targets() {
        let target = Labels(pairs: ["a": "1"])
        check(target.alloyValue, [String: String].self, .object(["a": "1"]))
        check(.object(["a": 1]), Labels.self, target.alloyValue)
        refuse([.object(["a": [1]])], [Labels].self, "[0].a expected string, got array")
        refuse("x", Labels.self, "expected capsule, got string")
    }
}
