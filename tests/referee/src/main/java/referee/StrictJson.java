package referee;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import java.io.IOException;
import java.io.StringReader;
import java.math.BigDecimal;

/** JSON as FHIR wants it: nothing empty, no name twice, null only as a place in a list. */
final class StrictJson {

    /** The text is not such JSON. */
    static final class Fault extends Exception {

        private static final long serialVersionUID = 1L;

        Fault(String message) {
            super(message);
        }
    }

    private StrictJson() {}

    static JsonObject object(String text) throws Fault {
        try (JsonReader reader = new JsonReader(new StringReader(text))) {
            JsonElement whole = value(reader);
            if (reader.peek() != JsonToken.END_DOCUMENT || !whole.isJsonObject()) {
                throw new Fault("One JSON object is asked for.");
            }
            return whole.getAsJsonObject();
        } catch (IOException | IllegalStateException failure) {
            throw new Fault("Not JSON: " + failure.getMessage());
        }
    }

    private static JsonElement value(JsonReader reader) throws IOException, Fault {
        return switch (reader.peek()) {
            case BEGIN_OBJECT -> members(reader);
            case BEGIN_ARRAY -> items(reader);
            case BOOLEAN -> new JsonPrimitive(reader.nextBoolean());
            case NUMBER -> new JsonPrimitive(new BigDecimal(reader.nextString()));
            case STRING -> text(reader);
            default -> throw new Fault("null or nothing at " + reader.getPath());
        };
    }

    private static JsonElement text(JsonReader reader) throws IOException, Fault {
        String path = reader.getPath();
        String text = reader.nextString();
        if (text.isBlank()) {
            throw new Fault("An empty text at " + path);
        }
        return new JsonPrimitive(text);
    }

    private static JsonObject members(JsonReader reader) throws IOException, Fault {
        JsonObject object = new JsonObject();
        reader.beginObject();
        while (reader.hasNext()) {
            String name = reader.nextName();
            if (object.has(name)) {
                throw new Fault("A name twice at " + reader.getPath());
            }
            object.add(name, value(reader));
        }
        reader.endObject();
        return object;
    }

    private static JsonArray items(JsonReader reader) throws IOException, Fault {
        JsonArray list = new JsonArray();
        String path = reader.getPath();
        reader.beginArray();
        while (reader.hasNext()) {
            if (reader.peek() == JsonToken.NULL) {
                reader.nextNull();
                list.add(JsonNull.INSTANCE);
            } else {
                list.add(value(reader));
            }
        }
        reader.endArray();
        if (list.isEmpty()) {
            throw new Fault("An empty list at " + path);
        }
        return list;
    }
}
