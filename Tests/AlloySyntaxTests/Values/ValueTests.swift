import AlloySyntax
import Essentials
import Testing

@Suite struct ValueTests {
    private final class Handle: CapsuleValue, AlloyDecodable, AlloyEncodable {
        static let capsuleName = "Handle"
        static var placeholder: Handle { Handle() }
        var alloyText: String? { "handle" }
    }

    private struct Point: CapsuleValue, Equatable {
        static let capsuleName = "Point"
        var x: Int
        var alloyObject: ObjectValue? { ["x": .int(x)] }
    }

    @Test(
        "Numbers print without exponents",
        arguments: [
            (1.0, "1"), (0.0, "0"), (-0.5, "-0.5"), (1e21, "1000000000000000000000"), (1.5e-7, "0.00000015"),
            (123456.789, "123456.789"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"), (100, "100"),
            (0.1, "0.1"), (.leastNonzeroMagnitude, "0." + String(repeating: "0", count: 323) + "5"),
        ])
    func numbers(_ number: Double, _ expected: String) {
        #expect(Value.float(number).alloyText == expected)
    }

    @Test("Objects print a field a line with aligned signs, sorted unless they have an order")
    func objects() {
        let nested: Value = .object(["long_name": 1, "b": .object(["c": "x"]), "z z": .array([1, 2]), "y": true])
        #expect(
            nested.alloyText == """
                {
                \tb = {
                \t\tc = "x",
                \t},
                \tlong_name = 1,
                \ty         = true,
                \t"z z"     = [1, 2],
                }
                """)
        let ordered = Value.object(ObjectValue(ordered: [("z", 1), ("a", 2), ("z", 3)]))
        #expect(ordered.alloyText == "{\n\tz = 3,\n\ta = 2,\n}")
        #expect(Value.object([:]).alloyText == "{}")
        #expect(Value.object(["null": 1, "9": 2]).alloyText == "{\n\t\"9\"    = 2,\n\t\"null\" = 1,\n}")
    }

    @Test("No printed form shows a secret")
    func secrets() {
        let values: [Value] = [
            .secret(Secret("hunter2")), .optionalSecret(.secret(Secret("hunter2"))),
            .array([.secret(Secret("hunter2"))]), .object(["a": .array([.secret(Secret("hunter2"))])]),
        ]
        for value in values {
            for text in [value.alloyText, "\(value)", String(reflecting: value), AlloyJSON.text(of: value)] {
                #expect(!text.contains("hunter2"))
                #expect(text.contains("(secret)"))
            }
            var dumped = ""
            dump(value, to: &dumped)
            #expect(!dumped.contains("hunter2"))
        }
        #expect(Value.optionalSecret(.plain("shown")).alloyText == "\"shown\"")
    }

    @Test("Capsules are equal by identity, by equality, or by the rule they were given")
    func capsules() {
        let handle = Handle()
        #expect(Capsule(handle) == Capsule(handle))
        #expect(Capsule(handle) != Capsule(Handle()))
        #expect(Capsule(Point(x: 1)) == Capsule(Point(x: 1)))
        #expect(Capsule(Point(x: 1)) != Capsule(Point(x: 2)))
        #expect(Capsule("A", 1) != Capsule("A", 1))
        #expect(Capsule("A", 1) { $0 == $1 } == Capsule("A", 1) { $0 == $1 })
        #expect(Capsule("A", 1) { $0 == $1 } != Capsule("B", 1) { $0 == $1 })
    }

    @Test("A capsule decodes to what it carries and to nothing else")
    func unwrapping() throws {
        let handle = Handle()
        #expect(try Handle(alloy: handle.alloyValue) === handle)
        #expect(Handle.alloyTypeName == "capsule(Handle)")
        #expect([Handle].alloyTypeName == "list(capsule(Handle))")
        let wrongCapsule = #expect(throws: ValueError.self) { try Handle(alloy: .capsule(Capsule(Point(x: 1)))) }
        #expect(wrongCapsule?.description == #"expected capsule("Handle"), got capsule("Point")"#)
        let wrongType = #expect(throws: ValueError.self) { try [Handle](alloy: [1]) }
        #expect(wrongType?.description == "[0] expected capsule, got number")
    }

    @Test("The interface's JSON names the type of every value")
    func json() {
        let handle = Handle()
        func check(_ value: Value, _ expected: String, sourceLocation: SourceLocation = #_sourceLocation) {
            #expect(AlloyJSON.text(of: value) == expected, sourceLocation: sourceLocation)
        }
        check(.null, #"{"type":"null","value":null}"#)
        check(1, #"{"type":"number","value":1}"#)
        check(.float(1e21), #"{"type":"number","value":1e+21}"#)
        check(.float(1.5e-7), #"{"type":"number","value":1.5e-7}"#)
        check("a<b\n", #"{"type":"string","value":"a\u003cb\n"}"#)
        check([true], #"{"type":"array","value":[{"type":"bool","value":true}]}"#)
        check(
            .object(["b": 1, "a": "x"]),
            #"{"type":"object","value":[{"key":"a","value":{"type":"string","value":"x"}},{"key":"b","value":{"type":"number","value":1}}]}"#
        )
        check(.secret(Secret("x")), #"{"type":"capsule","value":"(secret)"}"#)
        check(handle.alloyValue, #"{"type":"capsule","value":"handle"}"#)
        check(.capsule(Capsule("R", 1)), #"{"type":"capsule","value":"capsule(\"R\")"}"#)
        check(
            .capsule(Capsule(Point(x: 2))),
            #"{"type":"object","value":[{"key":"x","value":{"type":"number","value":2}}]}"#)
        check(.function(Function("f") { _ in .null }), #"{"type":"function","value":"function"}"#)
    }
}
