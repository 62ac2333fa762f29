/// A component that others connect to. It reports its health once it listens, or cannot; until then a program that has just
/// started does not say that it is ready.
package protocol ListeningComponent: Component {}
