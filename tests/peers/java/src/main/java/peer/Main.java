package peer;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;

/**
 * Answers one line on standard output for each line on standard input.
 *
 * <pre>
 * write LAYOUT VALUE,...          -> bytes in hex
 * read LAYOUT HEX Q,... VALUE,... -> count min max QUANTILE,... RANK,...
 * </pre>
 *
 * What a peer throws is answered as `error TEXT`.
 */
final class Main {
    private static final Map<String, Supplier<Peer>> EMPTY =
            Map.of(
                    "trino", Trino::empty,
                    "datasketches", DataSketches::empty,
                    "tdunning", TDunning::verbose,
                    "tdunning-small", TDunning::small);

    private static final Map<String, Function<byte[], Peer>> FROM =
            Map.of(
                    "trino", Trino::from,
                    "datasketches", DataSketches::from,
                    "tdunning", TDunning::from);

    private Main() {}

    public static void main(String[] arguments) throws IOException {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            System.out.println(answer(line.split(" ")));
        }
    }

    private static String answer(String[] words) {
        try {
            return words[0].equals("write") ? write(words) : read(words);
        } catch (RuntimeException | AssertionError thrown) {
            return "error " + thrown.toString().lines().findFirst().orElse("");
        }
    }

    private static String write(String[] words) {
        Peer peer = EMPTY.get(words[1]).get();
        if (words.length > 2) {
            numbers(words[2]).forEach(peer::add);
        }
        return HexFormat.of().formatHex(peer.bytes());
    }

    private static String read(String[] words) {
        Peer peer = FROM.get(words[1]).apply(HexFormat.of().parseHex(words[2]));
        return String.join(
                " ",
                Double.toString(peer.count()),
                Double.toString(peer.min()),
                Double.toString(peer.max()),
                join(numbers(words[3]).map(peer::quantile)),
                join(numbers(words[4]).map(peer::rank)));
    }

    private static DoubleStream numbers(String text) {
        return Arrays.stream(text.split(",")).mapToDouble(Double::parseDouble);
    }

    private static String join(DoubleStream numbers) {
        return numbers.mapToObj(Double::toString).collect(Collectors.joining(","));
    }
}
