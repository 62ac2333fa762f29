import ComponentKit
import Telemetry

/// What becomes of an entry after a stage.
enum Verdict {
    /// On to the next stage.
    case next
    /// On at another place of the program.
    case jump(Int)
    /// Gone: dropped or held; the stage has booked which.
    case stop
    /// Gone; these entries, held until now, go on in its place.
    case release([HeldEntry])
    /// As many entries as there are lines go on in its place, otherwise equal to it.
    case split([TextSlice])
}

/// One step of a pipeline at work. Called by one batch at a time.
protocol Stage: AnyObject {
    /// Processes the current entry of `work`.
    func run(_ work: inout Work) -> Verdict

    /// Whether what becomes of an entry follows from the entry and the configuration alone.
    var isPredictable: Bool { get }

    /// When a held entry falls due, in monotonic nanoseconds; nil when nothing waits.
    var nextDeadline: Int64? { get }

    /// Takes out the held entries that are due at monotonic time `now`, or all of them when it is nil.
    func takeHeld(dueAt now: Int64?, _ work: inout Work) -> [HeldEntry]
}

extension Stage {
    var isPredictable: Bool { true }
    var nextDeadline: Int64? { nil }
    func takeHeld(dueAt now: Int64?, _ work: inout Work) -> [HeldEntry] { [] }
}

/// A stage as configured: read from its block, checked, ready to be put to work.
protocol StageConfiguration: Sendable {
    /// Adds the stage, with those inside it, to a program.
    func add(to program: inout ProgramBuilder)
}

/// The stages of a pipeline in order, those of `stage.match` in place, and the names they use.
final class Program {
    let stages: [any Stage]
    /// Names of values the configuration mentions; a value's number is its place here.
    let names: [[UInt8]]
    /// Whether a stage asks for all values, so that those nobody names must be kept too.
    let keepsAllValues: Bool
    /// By stage, its place among the blocks `stage.*`, from the outside in.
    private let paths: [[Int]]

    init(_ configurations: [any StageConfiguration], _ services: StageServices) {
        var builder = ProgramBuilder(services)
        builder.add(configurations)
        stages = builder.stages
        paths = builder.paths
        names = builder.names
        keepsAllValues = builder.keepsAllValues
    }

    /// Where a stage is written.
    func path(of position: Int) -> RulePath? {
        guard paths.indices.contains(position), let first = paths[position].first else { return nil }
        return paths[position].dropFirst().reduce(RulePath("stage.", first)) { $0.inside("stage.", $1) }
    }

    /// Whether the stages of the stage at `position` follow it.
    func holdsStages(_ position: Int) -> Bool {
        paths.indices.contains(position + 1) && paths[position + 1].count > paths[position].count
    }

    /// The number of a value's name, or nil when the configuration does not mention it.
    func slot(of name: UnsafeRawBufferPointer) -> Int? {
        for index in names.indices where names[index].count == name.count {
            if name.equals(names[index]) { return index }
        }
        return nil
    }
}

/// A program being put together.
struct ProgramBuilder {
    let services: StageServices
    private(set) var stages: [any Stage] = []
    fileprivate(set) var paths: [[Int]] = []
    private var path: [Int] = []
    fileprivate(set) var names: [[UInt8]] = []
    /// Set by a stage that asks for all values.
    var keepsAllValues = false

    init(_ services: StageServices) { self.services = services }

    /// The number of the stage added next: where in the program it stands.
    var position: Int { stages.count }

    mutating func append(_ stage: any Stage) {
        stages.append(stage)
        paths.append(path)
    }

    /// Adds the stages of one pipeline: the component's, or those inside a stage.
    mutating func add(_ configurations: [any StageConfiguration]) {
        for (index, configuration) in configurations.enumerated() {
            path.append(index)
            configuration.add(to: &self)
            path.removeLast()
        }
    }

    /// The number of the value called `name`.
    mutating func slot(_ name: String) -> Int {
        let bytes = Array(name.utf8)
        if let found = names.firstIndex(of: bytes) { return found }
        names.append(bytes)
        return names.count - 1
    }
}

/// What stages use of the world.
struct StageServices: Sendable {
    let metrics: PipelineMetrics
    let memory: HeldMemory
}
