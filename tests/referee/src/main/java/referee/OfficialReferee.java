package referee;

import ca.uhn.fhir.context.support.IValidationSupport;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator.NullEvaluationContext;
import org.hl7.fhir.common.hapi.validation.validator.WorkerContextValidationSupportAdapter;
import org.hl7.fhir.r5.elementmodel.Manager.FhirFormat;
import org.hl7.fhir.r5.utils.validation.ValidatorSession;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;
import org.hl7.fhir.r5.utils.validation.constants.IdStatus;
import org.hl7.fhir.r5.utils.validation.constants.ReferenceValidationPolicy;
import org.hl7.fhir.r5.utils.xver.XVerExtensionManagerOld;
import org.hl7.fhir.utilities.i18n.I18nConstants;
import org.hl7.fhir.utilities.validation.ValidationMessage;
import org.hl7.fhir.utilities.validation.ValidationMessage.IssueSeverity;
import org.hl7.fhir.validation.ValidatorSettings;
import org.hl7.fhir.validation.instance.InstanceValidator;
import org.hl7.fhir.validation.instance.advisor.BasePolicyAdvisorForFullValidation;

/** HL7's validator over the definitions of one FHIR version. */
final class OfficialReferee implements Referee {

    /** One validator serves many resources, which is fast; it keeps something of each, so it is renewed. */
    private static final int RESOURCES_OF_A_VALIDATOR = 200;

    private static final String UNKNOWN_SYSTEM = "CodeSystem is unknown and can't be validated";
    /** Extensions that carry an element of R5 are defined in no library. */
    private static final String VERSION_OF_R5 = "(invalid Version '5.0')";
    /** What is only said because there is no terminology server: no fault of the resource. */
    private static final Set<String> NOTHING_TO_LOOK_IN = Set.of(
            I18nConstants.TERMINOLOGY_TX_VALUESET_NOTFOUND, I18nConstants.TERMINOLOGY_TX_SYSTEM_UNSUPPORTED);

    private final WorkerContextValidationSupportAdapter worker;
    private InstanceValidator validator;
    private int judged;

    OfficialReferee(IValidationSupport definitions) {
        worker = WorkerContextValidationSupportAdapter.newVersionSpecificWorkerContextWrapper(definitions);
    }

    @Override
    public List<Message> judge(String json) {
        if (judged++ % RESOURCES_OF_A_VALIDATOR == 0) {
            validator = validator();
        }
        List<ValidationMessage> found = new ArrayList<>();
        validator.validate(null, found, new ByteArrayInputStream(json.getBytes(StandardCharsets.UTF_8)), FhirFormat.JSON);
        return found.stream().map(OfficialReferee::message).distinct().toList();
    }

    private InstanceValidator validator() {
        InstanceValidator made = new InstanceValidator(
                worker,
                new NullEvaluationContext(),
                new XVerExtensionManagerOld(worker),
                new ValidatorSession(),
                new ValidatorSettings());
        made.setAnyExtensionsAllowed(true);
        made.setBestPracticeWarningLevel(BestPracticeWarningLevel.Hint);
        made.setResourceIdRule(IdStatus.OPTIONAL);
        made.setUnknownCodeSystemsCauseErrors(true);
        made.setErrorForUnknownProfiles(true);
        made.setAllowExamples(true);
        made.setFetcher(new OfflineFetcher(worker));
        made.setPolicyAdvisor(
                new BasePolicyAdvisorForFullValidation(ReferenceValidationPolicy.CHECK_TYPE_IF_EXISTS, Set.of()));
        return made;
    }

    private static Message message(ValidationMessage found) {
        String id = found.getMessageId() == null ? "(none)" : found.getMessageId();
        String severity = isOfMissingDefinitions(found, id) ? "information" : found.getLevel().toCode();
        return new Message(severity, id, found.getLocation(), found.getLine(), found.getMessage());
    }

    private static boolean isOfMissingDefinitions(ValidationMessage found, String id) {
        boolean unknown = id.equals("Terminology_PassThrough_TX_Message") && found.getMessage().startsWith(UNKNOWN_SYSTEM);
        boolean r5 = id.equals("Extension_EXT_Version_Invalid") && found.getMessage().endsWith(VERSION_OF_R5);
        return r5 || found.getLevel() == IssueSeverity.WARNING && (unknown || NOTHING_TO_LOOK_IN.contains(id));
    }
}
