package referee;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.io.File;
import java.io.IOException;
import java.io.StringReader;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import javax.xml.XMLConstants;
import javax.xml.parsers.DocumentBuilder;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import javax.xml.transform.dom.DOMSource;
import javax.xml.validation.SchemaFactory;
import javax.xml.validation.Validator;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;
import org.xml.sax.ErrorHandler;
import org.xml.sax.InputSource;
import org.xml.sax.SAXException;
import org.xml.sax.SAXParseException;

/**
 * The second ballot of DSTU2 (0.5.0) has no definitions that a validator reads, but a schema of HL7's own for its
 * XML. A resource is written as XML in the schema's own order of elements, and the schema judges it. What JSON says
 * and XML cannot (an unknown name, a list for a single value, a number as text) is judged on the way.
 */
final class BallotReferee implements Referee {

    private static final String CURRENT_NODE = "http://apache.org/xml/properties/dom/current-element-node";

    private final SchemaTypes types;
    private final Validator validator;
    private final DocumentBuilder builder;
    private final List<Message> messages = new ArrayList<>();

    BallotReferee() {
        try {
            File schema = schemaFile();
            DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
            factory.setNamespaceAware(true);
            builder = factory.newDocumentBuilder();
            types = new SchemaTypes(builder.parse(schema).getDocumentElement());
            validator = SchemaFactory.newInstance(XMLConstants.W3C_XML_SCHEMA_NS_URI).newSchema(schema).newValidator();
            validator.setErrorHandler(new Collector());
        } catch (IOException | SAXException | ParserConfigurationException | URISyntaxException failure) {
            throw new IllegalStateException("the schema of 0.5.0 cannot be read", failure);
        }
    }

    @Override
    public List<Message> judge(String json) {
        messages.clear();
        try {
            Document document = builder.newDocument();
            document.appendChild(resource(document, StrictJson.object(json), ""));
            validator.validate(new DOMSource(document));
        } catch (StrictJson.Fault | SAXException | IOException fault) {
            error("not-readable", "", fault.getMessage());
        }
        return List.copyOf(messages);
    }

    /** The schema lies beside the jar, where the build unpacks it. */
    private static File schemaFile() throws URISyntaxException {
        Path jar = Path.of(BallotReferee.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        return jar.resolveSibling("ballot/ca/uhn/fhir/model/dstu2/schema/fhir-single.xsd").toFile();
    }

    private Element resource(Document document, JsonObject object, String path) {
        JsonElement type = object.get("resourceType");
        String name = type == null ? "" : type.getAsString();
        Element element = document.createElementNS(SchemaTypes.FHIR, name.isEmpty() ? "Resource" : name);
        if (types.isResource(name)) {
            fill(element, object, name, path.isEmpty() ? name : path);
        } else {
            error("unknown-resource", path, "There is no resource of type '" + name + "'.");
        }
        return element;
    }

    /** Writes an object's members in the schema's order; what the schema has no name for is an error. */
    private void fill(Element element, JsonObject object, String type, String path) {
        JsonObject rest = object.deepCopy();
        if (element.getLocalName().equals(type)) {
            rest.remove("resourceType");
        }
        for (String attribute : types.attributes(type)) {
            JsonElement value = rest.remove(attribute);
            if (value != null) {
                element.setAttribute(attribute, value.getAsString());
            }
        }
        for (SchemaTypes.Child child : types.children(type)) {
            JsonElement value = rest.remove(child.name());
            JsonElement more = rest.remove("_" + child.name());
            if (value != null || more != null) {
                members(element, child, value, more, path + "." + child.name());
            }
        }
        for (String name : rest.keySet()) {
            error("unknown-element", path, "There is no element '" + name + "'.");
        }
    }

    private void members(Element parent, SchemaTypes.Child child, JsonElement value, JsonElement more, String path) {
        boolean isList = value != null ? value.isJsonArray() : more.isJsonArray();
        if (isList != child.many()) {
            error("cardinality", path, child.many() ? "A list is asked for." : "A single value is asked for.");
            return;
        }
        JsonArray values = listOf(value);
        JsonArray extras = listOf(more);
        for (int index = 0; index < Math.max(values.size(), extras.size()); index++) {
            JsonElement one = index < values.size() ? values.get(index) : null;
            JsonElement extra = index < extras.size() ? extras.get(index) : null;
            member(parent, child, one, extra, child.many() ? path + "[" + index + "]" : path);
        }
    }

    private static JsonArray listOf(JsonElement value) {
        if (value != null && value.isJsonArray()) {
            return value.getAsJsonArray();
        }
        JsonArray list = new JsonArray();
        if (value != null) {
            list.add(value);
        }
        return list;
    }

    private void member(Element parent, SchemaTypes.Child child, JsonElement value, JsonElement extra, String path) {
        Document document = parent.getOwnerDocument();
        if (child.type().equals("xhtml")) {
            parent.appendChild(narrative(document, value.getAsString(), path));
            return;
        }
        Element element = document.createElementNS(SchemaTypes.FHIR, child.name());
        parent.appendChild(element);
        if (types.isPrimitive(child.type())) {
            primitive(element, child.type(), value, extra, path);
        } else if (value == null || !value.isJsonObject() || value.getAsJsonObject().isEmpty()) {
            error("not-an-object", path, "An object with something in it is asked for.");
        } else if (child.type().equals(SchemaTypes.ANY_RESOURCE)) {
            element.appendChild(resource(document, value.getAsJsonObject(), path));
        } else {
            fill(element, value.getAsJsonObject(), child.type(), path);
        }
    }

    private void primitive(Element element, String type, JsonElement value, JsonElement extra, String path) {
        if (value instanceof JsonPrimitive primitive) {
            String wanted = types.jsonKind(type);
            String found = primitive.isBoolean() ? "boolean" : primitive.isNumber() ? "number" : "string";
            if (!wanted.equals(found)) {
                error("json-type", path, "A JSON " + wanted + " is asked for, not a " + found + ".");
            }
            element.setAttribute("value", primitive.getAsString());
        } else if (value != null && !value.isJsonNull()) {
            error("json-type", path, "A single value is asked for.");
        }
        if (extra != null && extra.isJsonObject()) {
            fill(element, extra.getAsJsonObject(), type, path);
        }
    }

    private Node narrative(Document document, String text, String path) {
        try {
            Document parsed = builder.parse(new InputSource(new StringReader(text)));
            return document.importNode(parsed.getDocumentElement(), true);
        } catch (SAXException | IOException fault) {
            error("narrative", path, fault.getMessage());
            return document.createComment("not readable");
        }
    }

    private void error(String id, String location, String text) {
        messages.add(new Message("error", id, location, 0, text));
    }

    /** Turns the schema's complaints into messages; each begins with its own id and a colon. */
    private final class Collector implements ErrorHandler {

        @Override
        public void warning(SAXParseException fault) {
            error(fault);
        }

        @Override
        public void fatalError(SAXParseException fault) {
            error(fault);
        }

        @Override
        public void error(SAXParseException fault) {
            String[] parts = fault.getMessage().split(": ", 2);
            String location = "";
            try {
                location = path((Node) validator.getProperty(CURRENT_NODE));
            } catch (SAXException unknown) {
                location = "?";
            }
            BallotReferee.this.error(parts.length == 2 ? parts[0] : "schema", location, parts[parts.length - 1]);
        }

        private static String path(Node node) {
            boolean isTop = node == null || node.getParentNode() == null || node.getParentNode() instanceof Document;
            String name = node == null ? "" : node.getLocalName();
            return isTop ? name : path(node.getParentNode()) + "." + name;
        }
    }
}
