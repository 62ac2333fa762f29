import Essentials
import Testing

@testable import OTTL

@Suite("OTTL functions")
struct FunctionCasesTests {
    /// A function nobody calls here would be one nobody has seen working.
    @Test("Every function is called by a test")
    func everyFunctionHasACase() throws {
        let directory = String(#filePath.dropLast("/FunctionCasesTests.swift".count))
        var texts = ""
        for name in try Files.list(directory) where name.hasSuffix(".swift") {
            texts += try Files.readText("\(directory)/\(name)", limit: .mebibytes(4))
        }
        let called = Set(
            texts.split { !$0.isLetter && !$0.isNumber && $0 != "_" && $0 != "(" }.flatMap { word in
                word.split(separator: "(", omittingEmptySubsequences: false).dropLast().map(String.init)
            })
        let functions = Array(Functions.converters.keys) + Array(Functions.editors.keys)
        #expect(functions.count > 100)
        #expect(functions.filter { !called.contains($0) }.sorted() == [])
    }
}
