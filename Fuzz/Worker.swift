import Essentials
import Glibc

/// What worker and driver share: the input being read now survives the worker's end, and so does the count of inputs.
///
///     page := inputs:u64 length:u64 findingLength:u64 signatures:u64 input finding
struct SharedPage {
    private static let inputOffset = 64
    private static let findingOffset = inputOffset + Mutator.largestInput * 2
    private static let findingLimit = 4096
    private static let size = findingOffset + findingLimit
    private let memory: UnsafeMutableRawBufferPointer

    /// Maps the file at `path`, which is made when missing.
    init?(_ path: String) {
        let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
        guard descriptor >= 0, ftruncate(descriptor, Self.size) == 0,
            let base = mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), base != MAP_FAILED
        else { return nil }
        close(descriptor)
        memory = UnsafeMutableRawBufferPointer(start: base, count: Self.size)
    }

    private func load(_ index: Int) -> Int { Int(memory.load(fromByteOffset: index * 8, as: UInt64.self)) }
    private func store(_ value: Int, _ index: Int) {
        memory.storeBytes(of: UInt64(value), toByteOffset: index * 8, as: UInt64.self)
    }

    var inputs: Int { load(0) }
    var signatures: Int { load(3) }

    func reset() { for index in 0..<4 { store(0, index) } }

    func note(signatures: Int) { store(signatures, 3) }

    func begin(_ input: [UInt8]) {
        store(min(input.count, Mutator.largestInput * 2), 1)
        input.prefix(Mutator.largestInput * 2).withUnsafeBytes { bytes in
            UnsafeMutableRawBufferPointer(rebasing: memory[Self.inputOffset...]).copyMemory(from: bytes)
        }
        store(inputs + 1, 0)
    }

    var input: [UInt8] { Array(memory[Self.inputOffset..<Self.inputOffset + load(1)]) }

    var finding: String {
        get { String(decoding: memory[Self.findingOffset..<Self.findingOffset + load(2)], as: UTF8.self) }
        nonmutating set {
            let text = Array(newValue.utf8.prefix(Self.findingLimit))
            text.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: memory[Self.findingOffset...]).copyMemory(from: bytes)
            }
            store(text.count, 2)
        }
    }
}

/// Reads one mutated input after the other until its time is over. Ends with 0, or with 1 after a finding; a trap, a hang
/// or too much memory ends it otherwise, and the shared page has the input.
enum Worker {
    static func run(_ target: FuzzTarget, seed: UInt64, seconds: Double, corpus extra: [[UInt8]], page: SharedPage)
        async -> CInt
    {
        limitMemory()
        var random = FuzzRandom(seed: seed)
        let mutator = Mutator(dictionary: target.dictionary.map(bytes))
        var corpus = target.seeds + extra
        if corpus.isEmpty { corpus = [[]] }
        var seen: Set<Int> = []
        let clock = EngineClock.system
        let end = clock.monotonicNanoseconds + Int64(seconds * 1e9)
        var next = 0
        let known = corpus.count
        while next < known || clock.monotonicNanoseconds < end {
            let input = next < known ? corpus[next] : mutator.mutate(corpus, &random)
            next += 1
            page.begin(input)
            do {
                let signature = try await target.run(input)
                if seen.insert(signature).inserted, corpus.count < 4000 { corpus.append(input) }
            } catch let finding as Finding {
                page.finding = finding.description
                return 1
            } catch {
                if seen.insert(signature(of: error)).inserted, corpus.count < 4000 { corpus.append(input) }
            }
            page.note(signatures: seen.count)
        }
        return 0
    }

    /// A reader that asks for more than two gigabytes for an input of some kilobytes is at fault.
    private static func limitMemory() {
        var limit = rlimit(rlim_cur: 4 << 30, rlim_max: 4 << 30)
        setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
        var core = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &core)
    }
}
