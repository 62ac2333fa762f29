import TextFormats
import Testing

@testable import InvarCLI

@Suite("Top table")
struct TopTableTests {
    private func moment(_ time: Int, _ books: String, id: String = "a.b.c") throws -> TopTable.Moment {
        let text = """
            {"time": \(time), "memoryUsed": 1536, "memoryLimit": 1073741824,
             "components": [{"id": "\(id)", "health": "healthy"}, {"id": "idle", "health": "unhealthy"}],
             "ledger": [\(books)]}
            """
        return try #require(TopTable.Moment(try JSONValue(parsing: text)))
    }

    private func books(_ incoming: Int, _ out: Int, rule: Int, full: Int, held: Int, id: String = "a.b.c") -> String {
        """
        {"componentID": "\(id)", "in": \(incoming), "out": \(out), "held": [{"items": \(held)}, {"items": 1}],
         "dropped": [{"reason": "rule", "items": \(rule)}, {"reason": "queue_full", "items": \(full)}]}
        """
    }

    @Test("Rates are the difference by the time between the moments")
    func rates() throws {
        let table = TopTable(
            from: try moment(1000, books(100, 50, rule: 10, full: 0, held: 0)),
            to: try moment(3000, books(300, 150, rule: 20, full: 30, held: 4)), order: .in)
        #expect(
            table.rows.first
                == TopTable.Row(
                    id: "a.b.c", health: "healthy", incoming: 100, outgoing: 50, dropped: 20, droppedItems: 50,
                    reason: "queue_full", held: 5))
        #expect(table.rows.last == TopTable.Row(id: "idle", health: "unhealthy"))
    }

    @Test("Nothing is negative after the program was started anew")
    func restart() throws {
        let table = TopTable(
            from: try moment(1000, books(100, 50, rule: 10, full: 0, held: 0)),
            to: try moment(3000, books(3, 1, rule: 0, full: 0, held: 0)), order: .held)
        #expect(table.rows.first?.incoming == 0)
        #expect(table.rows.first?.dropped == 0)
    }

    @Test("The table fits the terminal and says what it leaves out")
    func fits() throws {
        let now = try moment(3000, books(12_345_678, 1, rule: 0, full: 0, held: 0))
        let table = TopTable(from: try moment(1000, books(0, 0, rule: 0, full: 0, held: 0)), to: now, order: .in)
        let lines = table.lines(width: 90, height: 20)
        #expect(lines[0] == "2 components, 1 unhealthy; buffers hold 1.5 KiB of 1 GiB; rates over 2 s")
        #expect(lines[2].hasPrefix("COMPONENT"))
        #expect(lines[3].contains("6.2M"))
        #expect(lines.allSatisfy { $0.count <= 90 })
        #expect(table.lines(width: 90, height: 4).last == "... and 2 more")
    }

    @Test("Names cannot steer the terminal")
    func hostile() throws {
        let id = "x\\u001b[2Jy\\u202e"
        let now = try moment(2000, books(1, 1, rule: 0, full: 0, held: 0, id: id), id: id)
        let lines = TopTable(from: now, to: now, order: .id).lines(width: 120, height: 20)
        #expect(lines.joined().contains("x?[2Jy?"))
        #expect(!lines.joined().unicodeScalars.contains { $0.value < 32 })
    }

    @Test("An answer of something else is no moment")
    func foreign() throws {
        #expect(TopTable.Moment(try JSONValue(parsing: "{\"time\": 1}")) == nil)
        #expect(TopTable.Moment(try JSONValue(parsing: "[]")) == nil)
    }
}
