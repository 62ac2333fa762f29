import Testing

@testable import InvarCLI

@Suite("StartCode")
struct StartCodeTests {
    @Test(
        "Of the maps of a process only unwritable code of the program itself is given back",
        arguments: [
            ("55d0a000-55d0b000 r-xp 00001000 fe:00 123   /usr/bin/invar", 0x55d0_a000..<0x55d0_b000),
            ("55d0a000-55d0b000 r--p 00001000 fe:00 123   /usr/bin/invar", nil),
            ("55d0a000-55d0b000 rwxp 00001000 fe:00 123   /usr/bin/invar", nil),
            ("55d0a000-55d0b000 r-xp 00001000 fe:00 123   /usr/lib/libc.so.6", nil),
            ("55d0a000-55d0b000 r-xp 00001000 fe:00 123   /usr/bin/invar (deleted)", nil),
            ("55d0b000-55d0a000 r-xp 00001000 fe:00 123   /usr/bin/invar", nil),
            ("7fff0000-7fff1000 r-xp 00000000 00:00 0     [vdso]", nil),
            ("", nil),
        ] as [(String, Range<UInt>?)])
    func codeRange(line: String, expected: Range<UInt>?) {
        #expect(StartCode.codeRange(Substring(line), of: "/usr/bin/invar") == expected)
    }
}
