package import AlloySyntax
package import Essentials
import TextFormats

/// A size given as text such as `10MiB`; units are powers of 1024.
extension ByteCount: AlloyDecodable, AlloyEncodable {
    package static var alloyTypeName: String { "string" }
    package static var placeholder: ByteCount { .zero }

    package init(alloy value: Value) throws(ValueError) {
        if case .number(let number) = value, let bytes = number.integer(Int.self), bytes >= 0 {
            self.init(bytes: bytes)
            return
        }
        let text = try String(alloy: value)
        do {
            self.init(bytes: Int(try ByteSize.parseBase2(text)))
        } catch {
            throw ValueError("\(error)")
        }
        if bytes < 0 { throw ValueError("must not be negative") }
    }

    package var alloyValue: Value { .string(ByteSize.formatBase2(Int64(bytes))) }
}
