import Glibc

/// The variables of the process's environment.
package enum ProcessVariables {
    /// The value of a variable; nil when it is not set.
    package static subscript(name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
