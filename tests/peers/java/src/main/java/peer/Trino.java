package peer;

import io.airlift.slice.Slices;
import io.airlift.stats.TDigest;

/** What Trino's `tdigest` type holds. It has no inverse of its quantile. */
record Trino(TDigest digest) implements Peer {
    static Peer empty() {
        return new Trino(new TDigest());
    }

    static Peer from(byte[] bytes) {
        return new Trino(TDigest.deserialize(Slices.wrappedBuffer(bytes)));
    }

    @Override
    public void add(double value) {
        digest.add(value);
    }

    @Override
    public byte[] bytes() {
        return digest.serialize().getBytes();
    }

    @Override
    public double count() {
        return digest.getCount();
    }

    @Override
    public double min() {
        return digest.getMin();
    }

    @Override
    public double max() {
        return digest.getMax();
    }

    @Override
    public double quantile(double q) {
        return digest.valueAt(q);
    }

    @Override
    public double rank(double value) {
        return Double.NaN;
    }
}
