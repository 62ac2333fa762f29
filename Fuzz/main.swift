import Essentials
import Glibc

// Feeds readers of untrusted bytes with mutated inputs; `swift run fuzz --help` tells how.

let usage = """
    usage: fuzz [--seconds N] [--seed N] [--save DIRECTORY] [TARGET...]
           fuzz --replay FILE TARGET
           fuzz --list

    Runs each target (all, or those whose name begins with an argument) for its share of N seconds (60). The same seed
    and the same corpus make the same inputs. An input that a reader traps on, hangs on, takes too much memory for or
    misreads is saved below DIRECTORY (Fuzz/Findings), and the exit code is 1.

    """

func complain(_ text: String) {
    let bytes = Array(text.utf8)
    _ = write(2, bytes, bytes.count)
}

/// What the command line asks for.
struct Choices {
    var seconds = 60.0
    var seed: UInt64 = 1
    var save = "Fuzz/Findings"
    var corpus = "Fuzz/Corpus"
    var replay: String?
    var page: String?
    var lists = false
    var names: [String] = []

    init?(_ arguments: [String]) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "--seconds":
                guard let value = rest.popFirst().flatMap({ Double($0) }) else { return nil }
                seconds = value
            case "--seed":
                guard let value = rest.popFirst().flatMap({ UInt64($0) }) else { return nil }
                seed = value
            case "--save":
                guard let value = rest.popFirst() else { return nil }
                save = value
            case "--corpus":
                guard let value = rest.popFirst() else { return nil }
                corpus = value
            case "--replay":
                guard let value = rest.popFirst() else { return nil }
                replay = value
            case "--worker":
                guard let value = rest.popFirst() else { return nil }
                page = value
            case "--list": lists = true
            default:
                if argument.hasPrefix("-") { return nil }
                names.append(argument)
            }
        }
    }
}

let targets =
    WireTargets.all + OTLPTargets.all + LogTargets.all + ProtocolTargets.all + StanzaTargets.all + QueryTargets.all
    + TextTargets.all + StorageTargets.all + SamplingTargets.all + HostTargets.all + OTTLTargets.all

/// The project's own inputs for a target.
func corpus(of target: FuzzTarget, in directory: String) -> [[UInt8]] {
    let path = "\(directory)/\(target.name)"
    return ((try? Files.list(path)) ?? []).sorted().compactMap { try? Files.read("\(path)/\($0)") }
}

func replay(_ file: String, _ target: FuzzTarget) async -> CInt {
    do {
        _ = try await target.run(try Files.read(file))
        print("\(target.name): read")
        return 0
    } catch let finding as Finding {
        print("\(target.name): finding: \(finding)")
        return 1
    } catch {
        print("\(target.name): refused: \(error)")
        return 0
    }
}

guard let choices = Choices(Array(CommandLine.arguments.dropFirst())) else {
    complain(usage)
    exit(2)
}
if choices.lists {
    for target in targets { print(target.name) }
    exit(0)
}
let chosen = targets.filter { target in
    choices.names.isEmpty
        || choices.names.contains { target.name == $0 || choices.page == nil && target.name.hasPrefix($0) }
}
if chosen.isEmpty {
    complain("no such target\n" + usage)
    exit(2)
}
if let file = choices.replay {
    let code = await replay(file, chosen[0])
    StorageTargets.removeFiles()
    exit(code)
}
if let path = choices.page, let page = SharedPage(path) {
    let target = chosen[0]
    let code = await Worker.run(
        target, seed: choices.seed, seconds: choices.seconds, corpus: corpus(of: target, in: choices.corpus), page: page
    )
    StorageTargets.removeFiles()
    exit(code)
}
let driver = Driver(choices, chosen)
exit(driver.run())
