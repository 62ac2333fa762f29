/// How settled a feature is; `--stability.level` names the least settled one a process accepts.
public enum Stability: String, Sendable, CaseIterable, Comparable {
    /// May change or go without notice.
    case experimental
    /// Complete, but may still change.
    case publicPreview = "public-preview"
    /// Kept compatible.
    case generallyAvailable = "generally-available"

    /// Orders from the least to the most settled.
    public static func < (left: Stability, right: Stability) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .experimental: 0
        case .publicPreview: 1
        case .generallyAvailable: 2
        }
    }

    /// Why `feature` at this stability may not be used when `minimum` is required; `nil` when it may.
    public func refusal(of feature: String, minimum: Stability) -> String? {
        guard self < minimum else { return nil }
        return "\(feature) is at stability level \"\(rawValue)\", which is below the minimum allowed stability level "
            + "\"\(minimum.rawValue)\". Use --stability.level command-line flag to enable \"\(rawValue)\" features"
    }
}
