package peer;

import org.apache.datasketches.memory.Memory;
import org.apache.datasketches.tdigest.TDigestDouble;

/** Apache DataSketches' t-digest of doubles. */
record DataSketches(TDigestDouble digest) implements Peer {
    static Peer empty() {
        return new DataSketches(new TDigestDouble());
    }

    static Peer from(byte[] bytes) {
        return new DataSketches(TDigestDouble.heapify(Memory.wrap(bytes)));
    }

    @Override
    public void add(double value) {
        digest.update(value);
    }

    @Override
    public byte[] bytes() {
        return digest.toByteArray();
    }

    @Override
    public double count() {
        return digest.getTotalWeight();
    }

    @Override
    public double min() {
        return digest.isEmpty() ? Double.NaN : digest.getMinValue();
    }

    @Override
    public double max() {
        return digest.isEmpty() ? Double.NaN : digest.getMaxValue();
    }

    @Override
    public double quantile(double q) {
        return digest.isEmpty() ? Double.NaN : digest.getQuantile(q);
    }

    @Override
    public double rank(double value) {
        return digest.isEmpty() ? Double.NaN : digest.getRank(value);
    }
}
