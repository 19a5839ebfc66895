# SPDX-License-Identifier: Apache-2.0
"""Where more than the definitions decides what becomes of a right value: each with its reason. One that is never needed fails.

Each row: patterns of action, parameter, kind and value; what has to come of it; why. SKIP: the call would be carried out.
"""

import fnmatch

from cases import BASE, DECLARED, Expect

SKIP = "skip"

NOBODYS = "the ids are nobody's"
OF_LOCAL = "categories of local disks come with the type only"
NO_TAG_KEY = "a tag needs a key"
EXCEPTIONS = [
    ("Admin.CreateAccount", "Name", "at", "*", SKIP, "the name is free: the account would be made"),
    ("Admin.ImportImage", "ImageId", "absent", "*", SKIP, "an id is made up then, and the image is"),
    ("Admin.ImportImage", "ImageId", "empty", "*", SKIP, "an id is made up then, and the image is"),
    ("Admin.ShowJob", "JobId", "number", "*", (404, "InvalidJobId.NotFound"), "no job has this number"),
    ("CreateDisk", "Size", "absent", "*", (400, "MissingParameter"), "Size or SnapshotId: the definition can't say `one of`"),
    ("CreateDisk", "Size", "empty", "*", (400, "MissingParameter"), "Size or SnapshotId: the definition can't say `one of`"),
    ("CreateDisk", "Size", "number", "*", (400, "InvalidSize.ValueNotSupported"), "bounds depend on the category"),
    *[("CreateDisk", "DiskCategory", "word", word, (403, "InvalidDataDiskCategory.NotSupported"), OF_LOCAL)
      for word in ("ephemeral_ssd", "EPHEMERAL_SSD", "local_*", "LOCAL_*")],
    *[("[CR]*Instance*", "SystemDisk.Category", "word", word, (400, "InvalidSystemDiskCategory.ValueNotSupported"), OF_LOCAL)
      for word in ("ephemeral_ssd", "EPHEMERAL_SSD", "local_*", "LOCAL_*")],
    *[("[CR]*Instance*", "DataDisk.1.Category", "word", word, (400, "InvalidDataDiskCategory.ValueNotSupported"), OF_LOCAL)
      for word in ("ephemeral_ssd", "EPHEMERAL_SSD", "local_*", "LOCAL_*")],
    *[(action, "ImageId", kind, "*", (400, "MissingParameter"), "ImageId or ImageFamily: the definition can't say `one of`")
      for action in ("CreateInstance", "RunInstances") for kind in ("absent", "empty")],
    *[("RunInstances", "InstanceType", kind, "*", (400, "MissingParameter"), "needed unless a launch template has it")
      for kind in ("absent", "empty")],
    ("[CR]*Instance*", "InternetMaxBandwidthIn", "at", "200", (400, "InvalidInternetMaxBandwidthIn.Malformed"),
     "at most what may go out, or 10"),
    *[("[CR]*Instance*", "SystemDisk.Size", "number", value, (404, "InvalidSystemDiskSize.LessThanMinSize"), "20 GiB at least")
      for value in ("1", "-1")],
    *[("[CR]*Instance*", "SystemDisk.Size", "number", value, (404, "InvalidSystemDiskSize.MoreThanMaxSize"), "2 TiB at most")
      for value in ("2147483647", "9223372036854775807")],
    ("[CR]*Instance*", "DataDisk", "at", "*", (400, "InvalidDataDiskSize.ValueNotSupported"), "the items of this case have no size"),
    *[("[CR]*Instance*", "DataDisk.1.Size", kind, "*", (400, "InvalidDataDiskSize.ValueNotSupported"), "bounds depend on the category")
      for kind in ("absent", "empty", "number")],
    ("[CR]*Instance*", "SpotStrategy", "word", "[Ss][Pp][Oo][Tt][Ww]*", (400, "InvalidSpotPriceLimit"), "needs SpotPriceLimit"),
    ("[CR]*Instance*", "InstanceChargeType", "word", "[Pp][Rr][Ee]*", (400, "InvalidPeriod"), "needs Period"),
    *[(action, "CreditSpecification", "word", "*", (400, "InvalidParameter.CreditSpecification"), "of burstable types only")
      for action in ("CreateInstance", "RunInstances")],
    ("DescribeInstanceHistoryEvents", "Tag", "at", "*", (400, "UnsupportedParameter"), "a list of objects can't be marked as refused"),
    ("DescribeInstanceHistoryEvents", "Tag.1.*", "*", "*", DECLARED, "a list of objects can't be marked as refused"),
    ("CreateCommand", "Tag.1.Key", "absent", "*", BASE, "the quota is looked at before the tags"),
    *[(f"{verb}Command", "Tag.1.Key", "absent", "*", BASE, "instances are looked at before tags") for verb in ("Invoke", "Run")],
    ("*", "Tag.1.Key", "absent", "*", (400, "InvalidTag.Mismatch"), NO_TAG_KEY),
    ("DeleteInstances", "InstanceId", "at", "*", (404, "InvalidInstanceIds.NotFound"), NOBODYS),
    *[(f"{verb}Instances", "InstanceId", "at", "*", (404, "InvalidInstanceId.NotFound"), NOBODYS)
      for verb in ("Start", "Stop", "Reboot")],
    ("DescribeCloudAssistantStatus", "InstanceId", "at", "*", (404, "InvalidInstance.NotFound"), NOBODYS),
    ("DescribeDisks", "Filter", "at", "*", (404, "InvalidFilterKey.NotFound"), "no filter has such a key"),
    ("DescribeImages", "Filter", "at", "*", (404, "InvalidFilterKey.NotFound"), "no filter has such a key"),
    ("DescribeInstances", "Filter", "at", "*", (404, "InvalidFilterKey.NotFound"), "no filter has such a key"),
    ("Describe*", "Filter.1.*", "*", "*", DECLARED, "a filter needs a key that there is, and a value"),
    *[("Describe*", "DryRun", "bool", value, (400, "DryRunOperation"), "the answer of a dry run that found nothing wrong")
      for value in ("true", "True")],
    ("DescribeInstanceHistoryEvents", "InstanceEventType", "at", "*", (403, "InvalidParameter"), "no event has such a type"),
    *[(f"{verb}Command", "InstanceId", kind, "*", (400, "MissingParameter.InstanceIds"), "needed unless ResourceTag says which")
      for verb in ("Invoke", "Run") for kind in ("absent", "empty", "no list")],
    *[(f"{verb}Command", "Parameters", "at", "*", (400, "InvalidParameter"), "the text of the case is no JSON object")
      for verb in ("Invoke", "Run")],
    *[(f"{verb}Command", "RepeatMode", "word", "[Pp][Ee]*", (403, "MissingParam.Frequency"), "needs Frequency") for verb in ("Invoke", "Run")],
    *[(f"{verb}Command", "RepeatMode", "word", word, (400, "UnsupportedParameter"), "nothing here is repeated at reboots or tried dry")
      for verb in ("Invoke", "Run") for word in ("[Nn]ext*", "[Ee]very*", "[Dd]ry*", "NEXT*", "EVERY*", "DRY*")],
    *[(f"{verb}Command", "Timed", "bool", "[Tt]rue", (403, "MissingParam.Frequency"), "needs Frequency") for verb in ("Invoke", "Run")],
    ("ListTagResources", "TagFilter.1.TagValues", "at", "*", (400, "InvalidTagValue.Malformed"), "one value a key"),
    *[("ModifyDiskAttribute", "DiskId", kind, "*", (400, "IncompleteParamter"), "DiskId or DiskIds, one of the two")
      for kind in ("absent", "empty")],
    ("ModifyDiskAttribute", "DiskIds", "at", "*", (400, "IncompleteParamter"), "DiskId or DiskIds, one of the two"),
    ("ModifyDiskAttribute", "DiskName", "absent", "*", (400, "NoAttributeToModify"), "nothing is left to modify"),
    *[("ModifyInstanceDeployment", "DeploymentSetId", kind, "*", (400, "MissingParameter"), "needed unless the instance leaves its set")
      for kind in ("absent", "empty")],
    *[("RunInstances", path, "at", "*", (400, "InvalidSecurityGroupId.NotFound"), "the groups are nobody's")
      for path in ("SecurityGroupIds", "NetworkInterface.1.SecurityGroupIds")],
    ("RunInstances", "HostNames", "at", "*", (400, "InvalidHostName.Malformed"), "as many as Amount, which is 1"),
    ("RunInstances", "MinAmount", "at", "100", (400, "InvalidMinAmount.Malformed"), "at most Amount, which is 1"),
    ("RunInstances", "NetworkInterface", "at", "*", DECLARED, "the item's text is no address"),
    ("StopInstance", "Hibernate", "bool", "[Tt]rue", (403, "HibernationConfigured.NotEnabled"), "nothing here was made for it"),
]
used = set()


def expect_of(case):
    """What has to come of a case; SKIP, DECLARED or an Expect."""
    if case.expect != BASE:
        return case.expect
    for number, (action, path, kind, value, outcome, _) in enumerate(EXCEPTIONS):
        if all(fnmatch.fnmatchcase(text, pattern) for text, pattern in
               ((case.action["key"], action), (case.path, path), (case.kind, kind), (case.value, value))):
            used.add(number)
            if outcome == BASE:
                return case.base
            return Expect(*outcome) if isinstance(outcome, tuple) else outcome
    return case.base


def unused():
    """Rows that no case needed."""
    return [row for number, row in enumerate(EXCEPTIONS) if number not in used]
