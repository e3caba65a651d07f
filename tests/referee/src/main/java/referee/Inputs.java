package referee;

import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The resources of a file: one document, or NDJSON when the first line is JSON by itself. `-` is standard input. */
final class Inputs {

    /** A resource's text; `single` tells whether it is the whole of its file, where the lines within it count. */
    record Input(String file, int line, boolean single, String json) {}

    private Inputs() {}

    static List<Input> read(String name) throws IOException {
        byte[] bytes = name.equals("-") ? System.in.readAllBytes() : Files.readAllBytes(Path.of(name));
        String text = new String(bytes, StandardCharsets.UTF_8);
        String first = text.lines().filter(line -> !line.isBlank()).findFirst().orElse("");
        if (!isJson(first)) {
            return List.of(new Input(name, 1, true, text));
        }
        List<Input> inputs = new ArrayList<>();
        int number = 0;
        for (String line : text.lines().toList()) {
            number++;
            if (!line.isBlank()) {
                inputs.add(new Input(name, number, false, line));
            }
        }
        return inputs;
    }

    private static boolean isJson(String line) {
        try {
            return JsonParser.parseString(line).isJsonObject();
        } catch (JsonParseException noDocument) {
            return false;
        }
    }
}
