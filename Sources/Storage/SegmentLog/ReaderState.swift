/// How far one destination has come; a value inside the log's lock.
struct ReaderState {
    struct Outstanding {
        var position: LogPosition
        /// Items of the segment before this record.
        var itemsBefore: Int
        var items: Int
        var isComplete = false
    }

    let destination: String
    /// The next record to hand out.
    var read: LogPosition
    /// Items of `read.segment` before `read.offset`.
    var itemsRead: Int
    /// Items not completed: handed out or not.
    var pendingItems = 0
    /// Records read from files ahead of time, in order.
    var fetched: ArraySlice<StoredRecord> = []
    var waiter: CheckedContinuation<Void, any Error>?

    /// Handed out and not yet acknowledged, in order; the first `head` are done with.
    private var outstanding: [Outstanding] = []
    private var head = 0

    /// The acknowledgement file.
    var descriptor: CInt
    var sequence: UInt64
    var persisted: LogPosition

    init(destination: String, slot: AcknowledgementFormat.Slot, descriptor: CInt) {
        self.destination = destination
        read = slot.position
        itemsRead = slot.itemsInSegment
        persisted = slot.position
        sequence = slot.sequence
        self.descriptor = descriptor
    }

    /// Everything before this is complete.
    var frontier: (position: LogPosition, itemsInSegment: Int) {
        if head < outstanding.count { return (outstanding[head].position, outstanding[head].itemsBefore) }
        return (read, itemsRead)
    }

    /// Hands out the record at ``read``.
    mutating func take(_ stored: StoredRecord) {
        outstanding.append(
            Outstanding(position: stored.position, itemsBefore: itemsRead, items: stored.record.items))
        step(over: stored)
    }

    /// Passes the record at ``read`` without handing it out.
    mutating func skip(_ stored: StoredRecord) {
        pendingItems -= stored.record.items
        step(over: stored)
    }

    private mutating func step(over stored: StoredRecord) {
        read = stored.end
        itemsRead += stored.record.items
        if fetched.first?.position == stored.position { fetched.removeFirst() }
    }

    /// Notes that a record handed out needs no second sending. Unknown positions are ignored.
    mutating func complete(_ position: LogPosition) {
        var low = head
        var high = outstanding.count
        while low < high {
            let middle = (low + high) / 2
            if outstanding[middle].position < position { low = middle + 1 } else { high = middle }
        }
        guard low < outstanding.count, outstanding[low].position == position, !outstanding[low].isComplete else {
            return
        }
        outstanding[low].isComplete = true
        pendingItems -= outstanding[low].items
        while head < outstanding.count, outstanding[head].isComplete { head += 1 }
        if head > 64, head * 2 > outstanding.count {
            outstanding.removeFirst(head)
            head = 0
        }
    }

    /// Forgets what was handed out and not completed, so that it is handed out again.
    mutating func rewind() {
        let frontier = frontier
        // What was completed out of order beyond the frontier comes again too.
        for entry in outstanding[head...] where entry.isComplete { pendingItems += entry.items }
        (read, itemsRead) = (frontier.position, frontier.itemsInSegment)
        outstanding = []
        head = 0
        fetched = []
    }

    /// Moves on to the beginning of segment `number`, leaving `lost` items behind.
    mutating func move(toSegment number: UInt64, losing lost: Int) {
        read = LogPosition(segment: number, offset: SegmentFormat.segmentHeaderSize)
        itemsRead = 0
        pendingItems -= lost
        fetched = []
    }
}
