package peer;

import com.tdunning.math.stats.MergingDigest;
import java.nio.ByteBuffer;

/** T. Dunning's MergingDigest, in its verbose encoding or its small one. */
record TDunning(MergingDigest digest, boolean inFloats) implements Peer {
    static Peer verbose() {
        return new TDunning(new MergingDigest(100), false);
    }

    static Peer small() {
        return new TDunning(new MergingDigest(100), true);
    }

    static Peer from(byte[] bytes) {
        return new TDunning(MergingDigest.fromBytes(ByteBuffer.wrap(bytes)), false);
    }

    @Override
    public void add(double value) {
        digest.add(value);
    }

    @Override
    public byte[] bytes() {
        ByteBuffer buffer =
                ByteBuffer.allocate(inFloats ? digest.smallByteSize() : digest.byteSize());
        if (inFloats) {
            digest.asSmallBytes(buffer);
        } else {
            digest.asBytes(buffer);
        }
        return java.util.Arrays.copyOf(buffer.array(), buffer.position());
    }

    @Override
    public double count() {
        return digest.size();
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
        return digest.quantile(q);
    }

    @Override
    public double rank(double value) {
        return digest.cdf(value);
    }
}
