import InvarCLI

/// The program.
@main
enum Main {
    static func main() async { await Invar.start() }
}
