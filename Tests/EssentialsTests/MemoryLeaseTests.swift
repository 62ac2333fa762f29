import Essentials
import Testing

@Suite("Memory lease")
struct MemoryLeaseTests {
    @Test("A lease grows within the budget, shrinks, and gives back what is left when it ends")
    func lease() {
        let budget = MemoryBudget(limit: ByteCount(bytes: 100))
        let account = budget.account("test")
        do {
            let lease = MemoryLease(account)
            #expect(lease.grow(by: 60))
            #expect(!lease.grow(by: 60))
            #expect(lease.held == 60 && budget.usage.bytes == 60)
            lease.shrink(by: 20)
            // The last eighth is not for what is about to enter.
            #expect(!lease.grow(by: 60) && lease.grow(by: 45))
            lease.shrink(by: 1_000)
            #expect(lease.held == 0 && budget.usage.bytes == 0)
            #expect(lease.grow(by: 30))
        }
        #expect(account.held.bytes == 0)
    }
}
