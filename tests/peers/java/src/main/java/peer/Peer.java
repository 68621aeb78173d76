package peer;

/** One foreign t-digest: built from values or bytes, then asked. */
interface Peer {
    void add(double value);

    byte[] bytes();

    double count();

    double min();

    double max();

    double quantile(double q);

    /** Share of the values at or below `value`. */
    double rank(double value);
}
