package referee;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.ConceptValidationOptions;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.context.support.ValidationSupportContext;
import java.util.ArrayList;
import java.util.List;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.UnknownCodeSystemWarningValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.instance.model.api.IBaseResource;

/** What each FHIR version's referee knows: HL7's own definitions out of the libraries, behind a few of our own. */
final class Definitions {

    private Definitions() {}

    static IValidationSupport dstu2() {
        IValidationSupport official = new DefaultProfileValidationSupport(FhirContext.forDstu2Hl7Org());
        OldInvariants.express(official);
        return chain(official);
    }

    static IValidationSupport stu3() {
        IValidationSupport official = new DefaultProfileValidationSupport(FhirContext.forDstu3());
        return chain(NewerCodes.over(official, "every"), official);
    }

    static IValidationSupport r4() {
        IValidationSupport official = new DefaultProfileValidationSupport(FhirContext.forR4());
        return chain(NewerCodes.over(official, "every"), official);
    }

    static IValidationSupport r4b() {
        IValidationSupport official = new DefaultProfileValidationSupport(FhirContext.forR4B());
        return chain(NewerCodes.over(official, "every"), official);
    }

    static IValidationSupport r5() {
        IValidationSupport official = new LazyPackages(FhirContext.forR5());
        return chain(NewerCodes.over(official, "every", "r5"), official);
    }

    static IValidationSupport r6() {
        IValidationSupport official = new LazyPackages(FhirContext.forR5());
        return chain(NewerRelease.r6(official.getFhirContext()), NewerCodes.over(official, "every", "r5", "r6"), official);
    }

    @SuppressWarnings("deprecation") // what is to replace it acts on a server's answers, not in the chain
    private static ValidationSupportChain chain(IValidationSupport... definitions) {
        FhirContext context = definitions[0].getFhirContext();
        UnknownCodeSystemWarningValidationSupport unknown = new UnknownCodeSystemWarningValidationSupport(context);
        // INFORMATION here would silence the validator; what comes of it is lowered on output.
        unknown.setNonExistentCodeSystemSeverity(IValidationSupport.IssueSeverity.WARNING);
        List<IValidationSupport> links = new ArrayList<>(List.of(definitions));
        links.add(new UriCodes(context));
        links.add(new CommonCodeSystemsTerminologyService(context));
        links.add(new InMemoryTerminology(context));
        links.add(new SnapshotGeneratingValidationSupport(context));
        links.add(unknown);
        return new ValidationSupportChain(links);
    }

    /** DSTU2's value sets lack what the code expects for a code that is not among them. */
    private static final class InMemoryTerminology extends InMemoryTerminologyServerValidationSupport {

        InMemoryTerminology(FhirContext context) {
            super(context);
        }

        @Override
        public CodeValidationResult validateCode(
                ValidationSupportContext root,
                ConceptValidationOptions options,
                String system,
                String code,
                String display,
                String valueSet) {
            try {
                return super.validateCode(root, options, system, code, display, valueSet);
            } catch (NullPointerException failure) {
                return unknown(code);
            }
        }

        @Override
        public CodeValidationResult validateCodeInValueSet(
                ValidationSupportContext root,
                ConceptValidationOptions options,
                String system,
                String code,
                String display,
                IBaseResource valueSet) {
            try {
                return super.validateCodeInValueSet(root, options, system, code, display, valueSet);
            } catch (NullPointerException failure) {
                return unknown(code);
            }
        }

        private static CodeValidationResult unknown(String code) {
            String text = "Unknown code '" + code + "'";
            return new CodeValidationResult()
                    .setSeverity(IssueSeverity.ERROR)
                    .setMessage(text)
                    .addIssue(new CodeValidationIssue(
                            text, IssueSeverity.ERROR, CodeValidationIssueCode.CODE_INVALID,
                            CodeValidationIssueCoding.NOT_IN_VS));
        }
    }
}
