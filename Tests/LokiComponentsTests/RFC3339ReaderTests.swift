import Testing

@testable import LokiComponents

@Suite("RFC3339Reader")
struct RFC3339ReaderTests {
    @Test("A reader that remembers the minute reads what one that does not would")
    func agrees() {
        var reader = RFC3339Reader()
        let zones = ["Z", "+02:00", "-11:30", "", "z"]
        let fractions = ["", ".1", ".123456789", ".1234567891", ".", ".12x", ",5"]
        let starts = [
            "1970-01-01T00:00", "2024-02-28T23:59", "2024-02-28T23:59", "2024-13-01T00:00", "2024-02-29 12:00",
            "1969-12-31T23:59", "2024-02-28T24:00",
        ]
        for start in starts {
            for second in [":00", ":07", ":59", ":60", ":5", ";01", ":0a"] {
                for fraction in fractions {
                    for zone in zones {
                        let text = Array((start + second + fraction + zone).utf8)
                        let (found, wanted) = text.withUnsafeBytes { (reader.parse($0), parseRFC3339($0)) }
                        #expect(found == wanted, "\(start)\(second)\(fraction)\(zone)")
                    }
                }
            }
        }
    }

    @Test("Bytes that are no time are not taken for one by a reader that has read nothing yet")
    func fresh() {
        var reader = RFC3339Reader()
        let text = [UInt8](repeating: 0, count: 16) + Array(":05Z".utf8)
        #expect(text.withUnsafeBytes { reader.parse($0) } == nil)
    }
}
