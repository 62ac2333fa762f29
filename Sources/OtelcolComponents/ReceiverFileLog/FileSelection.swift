import Essentials
import Glibc
import LogSources
import OTTL
import TextFormats

/// Which files are read, and in what order: `include`, `exclude`, `exclude_older_than` and `ordering_criteria`.
struct FileSelection: Sendable {
    /// One `sort_by` block.
    struct Sort: Sendable {
        enum Kind: Sendable {
            case numeric, lexicographic
            case timestamp(GoTimeLayout, GoTimeZone)
            case modified
        }

        var kind: Kind
        /// The group of the expression that is compared.
        var key: String
        var isAscending: Bool
    }

    struct Ordering: Sendable {
        var pattern: RegularExpression?
        var group: String
        var limit: Int
        var sorts: [Sort]
    }

    var include: [Glob]
    var exclude: [Glob]
    var maximumAge: Duration?
    var ordering: Ordering?

    /// The paths to read at `now`, nanoseconds since 1970. Blocks.
    func paths(now: Int64) -> [String] {
        var seen: Set<String> = []
        var found: [String] = []
        for glob in include {
            for path in glob.expand(filesOnly: true).paths
            where !exclude.contains(where: { $0.matches(path) }) && seen.insert(path).inserted {
                found.append(path)
            }
        }
        if let maximumAge {
            let oldest = now &- maximumAge.nanoseconds
            found = found.filter { ((try? OpenFile.status(of: $0))?.modified ?? .max) >= oldest }
        }
        return ordering.map { Self.order(found, by: $0) } ?? found
    }

    // MARK: Order

    private struct Item {
        var path: String
        var captures: [String: String]
    }

    private static func order(_ paths: [String], by ordering: Ordering) -> [String] {
        var groups: [(name: String, items: [Item])] = []
        for path in paths {
            var captures: [String: String] = [:]
            if let pattern = ordering.pattern {
                guard let found = pattern.firstMatch(in: path) else { continue }
                for (index, name) in pattern.groupNames.enumerated() {
                    if let name, index < found.count { captures[name] = found[index] ?? "" }
                }
            }
            let name = ordering.group.isEmpty ? "" : captures[ordering.group] ?? ""
            let item = Item(path: path, captures: captures)
            if let index = groups.firstIndex(where: { $0.name == name }) {
                groups[index].items.append(item)
            } else {
                groups.append((name, [item]))
            }
        }
        return groups.flatMap { group in
            var items = group.items
            for sort in ordering.sorts { items = sorted(items, sort) }
            return items.prefix(ordering.limit).map(\.path)
        }
    }

    /// Items whose key cannot be read are left out; equal ones keep their order.
    private static func sorted(_ items: [Item], _ sort: Sort) -> [Item] {
        func ordered<Key: Comparable>(_ key: (Item) -> Key?) -> [Item] {
            let keyed = items.enumerated().compactMap { index, item in
                key(item).map { (key: $0, index: index, item: item) }
            }
            return keyed.sorted { left, right in
                if left.key == right.key { return left.index < right.index }
                return sort.isAscending ? left.key < right.key : left.key > right.key
            }.map(\.item)
        }
        switch sort.kind {
        case .numeric: return ordered { Int64($0.captures[sort.key] ?? "") }
        case .lexicographic: return ordered { $0.captures[sort.key] }
        case .timestamp(let layout, let zone):
            return ordered { item in
                (try? layout.parse(item.captures[sort.key] ?? "", in: zone))?.unixNanoseconds
            }
        case .modified: return ordered { (try? OpenFile.status(of: $0.path))?.modified }
        }
    }
}
