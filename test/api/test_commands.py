# SPDX-License-Identifier: Apache-2.0
"""Cloud Assistant: scripts in guests, what came of them, who may, and kill -9 in between."""

import base64
import json
import time
import uuid

from harness import REGION, SLOW, EcsTest

UNKNOWN = "outcome is unknown"


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Commands(EcsTest):
    def run_command(self, *instances, content="echo hello", **params):
        params = {"RegionId": REGION, "Type": "RunShellScript", "CommandContent": content, **params}
        for n, i in enumerate(instances, 1):
            params[f"InstanceId__{n}"] = i
        return self.call("RunCommand", **params)

    def results(self, **params):
        reply = self.call("DescribeInvocationResults", RegionId=REGION, **params)["Invocation"]
        return reply["InvocationResults"]["InvocationResult"]

    def result(self, invoke_id, **params):
        found = self.results(InvokeId=invoke_id, **params)
        self.assertEqual(len(found), 1, found)
        return found[0]

    def await_result(self, invoke_id, seconds=15, **params):
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            result = self.result(invoke_id, **params)
            if result["InvocationStatus"] not in ("Pending", "Running", "Stopping"):
                return result
            time.sleep(0.01)
        self.fail(f"still {result}")

    def await_invocation_status(self, invoke_id, wanted, seconds=15):
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            result = self.result(invoke_id)
            if result["InvocationStatus"] == wanted:
                return result
            time.sleep(0.01)
        self.fail(f"still {result}, not {wanted}")

    def ran(self, instance, content, **params):
        return self.await_result(self.run_command(instance, content=content, **params)["InvokeId"], ContentEncoding="PlainText")


class Run(Commands):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.i = cls("run_instance").running_instance()

    def test_a_script_runs_and_tells_its_output(self):
        sent = self.run_command(self.i, content="echo hello")
        self.assertRegex(sent["CommandId"], r"^c-[0-9a-z]+$")
        self.assertRegex(sent["InvokeId"], r"^t-[0-9a-z]+$")
        result = self.await_result(sent["InvokeId"])
        self.assertEqual(result["InvocationStatus"], "Success")
        self.assertEqual(result["InvokeRecordStatus"], "Finished")
        self.assertEqual(base64.b64decode(result["Output"]), b"hello\n")  # Base64 unless asked otherwise
        self.assertEqual((result["ExitCode"], result["Dropped"], result["Repeats"]), (0, 0, 1))
        self.assertEqual((result["ErrorCode"], result["ErrorInfo"]), ("", ""))
        self.assertEqual((result["InstanceId"], result["CommandId"]), (self.i, sent["CommandId"]))
        self.assertEqual(result["Username"], "root")
        self.assertRegex(result["StartTime"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertRegex(result["FinishedTime"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_content_may_be_base64(self):
        self.assertEqual(self.ran(self.i, b64("echo base"), ContentEncoding="Base64")["Output"], "base\n")

    def test_a_script_that_fails(self):
        result = self.ran(self.i, "echo no; exit 3")
        self.assertEqual((result["InvocationStatus"], result["InvokeRecordStatus"]), ("Failed", "Finished"))
        self.assertEqual((result["ExitCode"], result["ErrorCode"]), (3, "ExitCodeNonzero"))
        self.assertEqual(result["ErrorInfo"], "the command execution exit code is not zero")
        self.assertEqual(result["Output"], "no\n")

    def test_what_the_simulated_shell_does_not_know_is_shown_not_done(self):
        self.assertEqual(self.ran(self.i, "uname -a | wc -l")["Output"], "simulated: uname -a | wc -l")

    def test_a_working_dir(self):
        self.assertEqual(self.ran(self.i, "echo there", WorkingDir="/tmp")["Output"], "there\n")
        self.refuses("RunCommand", "InvalidParameter", 400, RegionId=REGION, Type="RunShellScript", CommandContent="echo",
                     InstanceId__1=self.i, WorkingDir="/" + "a" * 200)

    def test_output_is_cut_at_24_kib(self):
        # A script holds less than an output may: the simulated guest shows parameters' values, which make it longer.
        content = "echo {{a}}{{b}}{{c}}"
        value = "x" * 9000
        sent = self.run_command(self.i, content=content, EnableParameter=True, Parameters=json.dumps({"a": value, "b": value, "c": value}))
        result = self.await_result(sent["InvokeId"], ContentEncoding="PlainText")
        self.assertEqual(result["Output"], "x" * 24 * 1024)
        self.assertEqual(result["Dropped"], 27001 - 24 * 1024)

    def test_parameters(self):
        def run(content, **values):
            return self.ran(self.i, content, EnableParameter=True, Parameters=json.dumps(values))["Output"]

        self.assertEqual(run("echo {{who}} {{ n }}", who="world", n=3), "world 3\n")
        self.assertEqual(run("echo [{{gone}}]".replace("[", "").replace("]", "")), "\n")
        self.assertEqual(run("echo {{ACS::InstanceId}} {{ACS::RegionId}}"), f"{self.i} {REGION}\n")
        self.assertEqual(self.ran(self.i, "echo {{who}}")["Output"], "simulated: echo {{who}}")  # not enabled: a text like others

        def refuses(code, status, content="echo {{who}}", enable=True, parameters=None):
            more = {"Parameters": parameters} if parameters is not None else {}
            self.refuses("RunCommand", code, status, RegionId=REGION, Type="RunShellScript", CommandContent=content,
                         InstanceId__1=self.i, EnableParameter=enable, **more)

        refuses("Parameter.Disabled", 404, enable=False, parameters='{"who":"x"}')
        refuses("Parameter.NotMatched", 403, parameters='{"other":"x"}')
        refuses("ParameterKey.Duplicate", 403, parameters='{"who":"x","who":"y"}')
        refuses("ParameterCount.ExceedLimit", 403, parameters=json.dumps({f"p{n}": "" for n in range(21)}))
        refuses("ParameterKey.ExceedLimit", 403, parameters=json.dumps({"p" * 65: ""}))
        refuses("InvalidParameter", 400, parameters="[1]")
        refuses("InvalidParameter", 400, parameters='{"who":{"a":1}}')
        refuses("CmdParam.EmptyKey", 403, content="echo {{}}")
        refuses("CmdParam.InvalidParamName", 403, content="echo {{a.b}}")
        refuses("CmdParamName.ExceedLimit", 403, content="echo {{" + "a" * 65 + "}}")
        refuses("CmdContent.ExceedLimit", 403, content="echo {{who}} {{who}}", parameters=json.dumps({"who": "x" * 40000}))
        refuses("InvalidParameter", 400, parameters=json.dumps({"who": "x" * 65536}))

    def test_what_is_refused(self):
        def refuses(code, status, message=None, **params):
            before = self.call("DescribeInvocations", RegionId=REGION)["TotalCount"]
            self.refuses("RunCommand", code, status, message, **{"RegionId": REGION, "Type": "RunShellScript", "CommandContent": "echo",
                                                                 "InstanceId__1": self.i, **params})
            self.assertEqual(self.call("DescribeInvocations", RegionId=REGION)["TotalCount"], before)

        refuses("RegionId.ApiNotSupported", 400, "The api is not supported in this region.", RegionId="mars-1")
        refuses("InvalidCmdType.NotFound", 403, "The specified command type does not exist.", Type="RunCobolScript")
        refuses("InvalidInstance.NotMatch", 403, "The specified instance type does not match the command.", Type="RunBatScript")
        refuses("InvalidInstance.NotMatch", 403, Type="RunPowerShellScript")
        refuses("InvalidInstance.NotFound", 404, "The specified instance does not exist.", InstanceId__1="i-none")
        refuses("InstanceIds.ExceedLimit", 403, "The number of instance IDs exceeds the upper limit.",
                **{f"InstanceId__{n}": f"i-{n}" for n in range(1, 102)})
        refuses("CmdName.ExceedLimit", 403, Name="é" * 129)
        refuses("CmdDesc.ExceedLimit", 403, Description="é" * 513)
        refuses("CmdContent.ExceedLimit", 403, CommandContent="x" * (18 * 1024 + 1))
        refuses("Invalid.CommandContent", 400, CommandContent="not base64!", ContentEncoding="Base64")
        refuses("Invalid.CommandContent", 400, CommandContent=b64("a\0b"), ContentEncoding="Base64")
        refuses("MissingParam.Frequency", 403, Timed=True)
        refuses("InvalidParam.Frequency", 403, "The specified frequency is invalid.", Timed=True, Frequency="0 */10 * * * *")
        refuses("MissingParam.Frequency", 403, RepeatMode="Period")
        refuses("UnsupportedParameter", 400, RepeatMode="EveryReboot")
        refuses("Username.ExceedLimit", 403, Username="u" * 256)
        refuses("UnsupportedParameter", 400, Username="nobody")
        refuses("UnsupportedParameter", 400, ContainerId="abc")
        refuses("InvalidParameter", 400, Timeout=9)
        refuses("InvalidParameter", 400, Timeout=86401)
        self.refuses("RunCommand", "MissingParameter.InstanceIds", 400, RegionId=REGION, Type="RunShellScript", CommandContent="echo")

    def test_names_of_128_characters_are_fine(self):
        self.run_command(self.i, Name="é" * 128, Description="é" * 512, content="#" + "x" * (18 * 1024 - 1))

    def test_instances_that_do_not_run(self):
        stopped = self.stopped_instance()
        sent = self.run_command(self.i, stopped)
        by_instance = {r["InstanceId"]: r for r in self.results(InvokeId=sent["InvokeId"])}
        self.assertEqual(by_instance[stopped]["InvocationStatus"], "Aborted")
        self.assertEqual(by_instance[stopped]["InvokeRecordStatus"], "Failed")
        self.assertEqual(by_instance[stopped]["ErrorCode"], "InstanceNotRunning")
        self.assertEqual(by_instance[stopped]["ErrorInfo"], "the instance is not running when create task")
        self.assertNotIn("ExitCode", by_instance[stopped])
        end = time.monotonic() + 10 * SLOW
        while time.monotonic() < end:
            invocation = self.call("DescribeInvocations", RegionId=REGION, InvokeId=sent["InvokeId"])["Invocations"]["Invocation"][0]
            if invocation["InvocationStatus"] not in ("Pending", "Running"):
                break
        self.assertEqual((invocation["InvocationStatus"], invocation["InvokeStatus"]), ("PartialFailed", "PartialFailed"))

    def test_by_tag(self):
        tag = uuid.uuid4().hex
        ids = [self.running_instance(Tag__1__Key="fleet", Tag__1__Value=tag) for _ in range(2)]
        sent = self.call("RunCommand", RegionId=REGION, Type="RunShellScript", CommandContent="echo x", ResourceTag__1__Key="fleet",
                         ResourceTag__1__Value=tag)
        self.assertEqual({r["InstanceId"] for r in self.results(InvokeId=sent["InvokeId"])}, set(ids))
        self.refuses("RunCommand", "InvalidInstance.NotFound", 404, RegionId=REGION, Type="RunShellScript", CommandContent="echo x",
                     ResourceTag__1__Key="fleet", ResourceTag__1__Value="none")

    def test_a_client_token_runs_once(self):
        token = uuid.uuid4().hex
        first = self.run_command(self.i, ClientToken=token)
        again = self.run_command(self.i, ClientToken=token)
        self.assertEqual((first["InvokeId"], first["CommandId"]), (again["InvokeId"], again["CommandId"]))
        self.refuses("RunCommand", "IdempotentParameterMismatch", 400, RegionId=REGION, Type="RunShellScript",
                     CommandContent="echo other", InstanceId__1=self.i, ClientToken=token)

    def test_an_instance_named_twice_runs_it_once(self):
        self.await_result(self.run_command(self.i, self.i)["InvokeId"])

    def test_others_see_nothing_of_it(self):
        out = json.loads(self.ecs.ctl("account", "create", uuid.uuid4().hex[:12], "--json"))
        key, secret = out["Key"]["AccessKeyId"], out["Key"]["Secret"]
        sent = self.run_command(self.i, KeepCommand=True)
        call = lambda action, **params: self.ecs.v3(action, {"RegionId": REGION, **params}, key=key, secret=secret)
        self.assertEqual(call("DescribeInvocationResults", InvokeId=sent["InvokeId"]).json["Invocation"]["TotalCount"], 0)
        self.assertEqual(call("DescribeInvocations", InvokeId=sent["InvokeId"]).json["TotalCount"], 0)
        self.assertEqual(call("DescribeCommands", CommandId=sent["CommandId"]).json["TotalCount"], 0)
        self.assertEqual(call("StopInvocation", InvokeId=sent["InvokeId"]).code, "InvalidInvokeId.NotFound")
        self.assertEqual(call("DeleteCommand", CommandId=sent["CommandId"]).code, "InvalidCmdId.NotFound")
        self.assertEqual(call("InvokeCommand", **{"CommandId": sent["CommandId"], "InstanceId.1": self.i}).code, "InvalidCmdId.NotFound")
        reply = call("RunCommand", **{"Type": "RunShellScript", "CommandContent": "echo", "InstanceId.1": self.i})
        self.assertEqual((reply.status, reply.code), (404, "InvalidInstance.NotFound"))
        self.assertEqual(call("DescribeCloudAssistantStatus", **{"InstanceId.1": self.i}).code, "InvalidInstance.NotFound")


class Ends(Commands):
    """Scripts that take long, and guests that go away."""

    def test_timeout(self):
        i = self.running_instance()
        sent = self.run_command(i, content="sleep 1000", Timeout=10)
        begin = time.monotonic()
        result = self.await_result(sent["InvokeId"], 20)
        self.assertGreater(time.monotonic() - begin, 9)
        self.assertEqual((result["InvocationStatus"], result["InvokeRecordStatus"]), ("Timeout", "Failed"))
        self.assertEqual((result["ErrorCode"], result["ErrorInfo"]), ("ExecutionTimeout", "the command execution has been timeout"))
        self.assertNotIn("ExitCode", result)

    def test_stop_invocation(self):
        i, j = self.running_instance(), self.running_instance()
        sent = self.run_command(i, j, content="sleep 1000", Timeout=3600)["InvokeId"]
        end = time.monotonic() + 10 * SLOW
        while {r["InvocationStatus"] for r in self.results(InvokeId=sent)} != {"Running"} and time.monotonic() < end:
            time.sleep(0.01)
        self.call("StopInvocation", RegionId=REGION, InvokeId=sent, InstanceId__1=i)
        while time.monotonic() < end:
            status = {r["InstanceId"]: r["InvocationStatus"] for r in self.results(InvokeId=sent)}
            if status[i] == "Terminated":
                break
        self.assertEqual(status, {i: "Terminated", j: "Running"})
        self.call("StopInvocation", RegionId=REGION, InvokeId=sent)
        while time.monotonic() < end:
            invocation = self.call("DescribeInvocations", RegionId=REGION, InvokeId=sent)["Invocations"]["Invocation"][0]
            if invocation["InvocationStatus"] == "Stopped":
                break
        self.assertEqual((invocation["InvocationStatus"], invocation["InvokeStatus"]), ("Stopped", "Stopped"))
        result = self.results(InvokeId=sent)[0]
        self.assertEqual(result["InvokeRecordStatus"], "Stopped")
        self.assertTrue(result["StopTime"])
        self.call("StopInvocation", RegionId=REGION, InvokeId=sent)  # it has ended: nothing to do
        self.refuses("StopInvocation", "InvalidInvokeId.NotFound", 404, "The specified invoke ID does not exist.", RegionId=REGION,
                     InvokeId="t-none")
        self.refuses("StopInvocation", "MissingParameter.InvokeId", 400, RegionId=REGION)

    def test_a_stop_of_the_instance_interrupts(self):
        i = self.running_instance()
        sent = self.run_command(i, content="sleep 1000", Timeout=3600)["InvokeId"]
        self.await_invocation_status(sent, "Running")
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")
        result = self.await_result(sent)
        self.assertEqual((result["InvocationStatus"], result["InvokeRecordStatus"]), ("Failed", "Failed"))
        self.assertEqual((result["ErrorCode"], result["ErrorInfo"]),
                         ("ExecutionInterrupted", "the command execution has been interrupted"))

    def test_knobs_of_the_simulated_agent(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "exec=0.3", "exec-exit=7")
        begin = time.monotonic()
        result = self.ran(i, "ls -l")
        self.assertGreater(time.monotonic() - begin, 0.25)
        self.assertEqual((result["ExitCode"], result["Output"]), (7, "simulated: ls -l"))

    def test_agent_status(self):
        i, stopped = self.running_instance(), self.stopped_instance()
        self.ran(i, "echo x")

        def status(**params):
            reply = self.call("DescribeCloudAssistantStatus", RegionId=REGION, **params)
            return {s["InstanceId"]: s for s in reply["InstanceCloudAssistantStatusSet"]["InstanceCloudAssistantStatus"]}

        found = status(InstanceId__1=i, InstanceId__2=stopped)
        self.assertEqual({k: v["CloudAssistantStatus"] for k, v in found.items()}, {i: "true", stopped: "false"})
        self.assertEqual((found[i]["InvocationCount"], found[i]["ActiveTaskCount"], found[i]["OSType"]), (1, 0, "Linux"))
        self.assertTrue(found[i]["LastInvokedTime"])
        self.assertIn(i, status(PageSize=50))
        self.refuses("DescribeCloudAssistantStatus", "InvalidInstance.NotFound", 404, RegionId=REGION, InstanceId__1="i-none")
        self.refuses("DescribeCloudAssistantStatus", "InstanceIds.ExceedLimit", 403, RegionId=REGION,
                     **{f"InstanceId__{n}": f"i-{n}" for n in range(1, 52)})


class NoAgent(Commands):
    settings = {"command.delivery_s": "1"}

    def test_without_an_agent_it_is_aborted_in_time(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "hang=on")
        sent = self.run_command(i)["InvokeId"]
        waiting = self.run_command(i)["InvokeId"]
        self.assertEqual(self.result(sent)["InvocationStatus"], "Pending")
        self.call("StopInvocation", RegionId=REGION, InvokeId=waiting)
        result = self.result(waiting)
        self.assertEqual((result["InvocationStatus"], result["InvokeRecordStatus"], result["StartTime"]), ("Cancelled", "Stopped", ""))
        result = self.await_result(sent)
        self.assertEqual((result["InvocationStatus"], result["InvokeRecordStatus"]), ("Aborted", "Failed"))
        self.assertEqual((result["ErrorCode"], result["ErrorInfo"]),
                         ("ClientNotRunning", "the aliyun service is not running on the instance"))
        found = self.call("DescribeCloudAssistantStatus", RegionId=REGION, InstanceId__1=i)
        found = found["InstanceCloudAssistantStatusSet"]["InstanceCloudAssistantStatus"][0]
        self.assertEqual(found["InvocationCount"], 2)


class Kept(Commands):
    """Commands that are kept: CreateCommand, InvokeCommand, DescribeCommands, DeleteCommand."""

    settings = {"quota.commands": "5"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.i = cls("run_instance").running_instance()

    def tearDown(self):
        for c in self.commands(PageSize=50):
            self.call("DeleteCommand", RegionId=REGION, CommandId=c["CommandId"])

    def create(self, content="echo {{who}}", **params):
        return self.call("CreateCommand", **{"RegionId": REGION, "Name": "hello", "Type": "RunShellScript", "CommandContent": b64(content),
                                             "EnableParameter": True, **params})["CommandId"]

    def commands(self, **params):
        return self.call("DescribeCommands", RegionId=REGION, **params)["Commands"]["Command"]

    def test_a_command_is_kept_and_invoked(self):
        c = self.create(Description="greets", Timeout=120, WorkingDir="/tmp", Tag__1__Key="team", Tag__1__Value="a")
        found = self.commands(CommandId=c)[0]
        self.assertEqual(base64.b64decode(found["CommandContent"]).decode(), "echo {{who}}")
        self.assertEqual((found["Name"], found["Description"], found["Timeout"], found["WorkingDir"]), ("hello", "greets", 120, "/tmp"))
        self.assertEqual((found["Type"], found["EnableParameter"], found["InvokeTimes"]), ("RunShellScript", True, 0))
        self.assertEqual(found["ParameterNames"]["ParameterName"], ["who"])
        self.assertEqual(found["Tags"]["Tag"], [{"TagKey": "team", "TagValue": "a"}])
        self.assertEqual(self.commands(CommandId=c, ContentEncoding="PlainText")[0]["CommandContent"], "echo {{who}}")
        sent = self.call("InvokeCommand", RegionId=REGION, CommandId=c, InstanceId__1=self.i, Parameters='{"who":"you"}', Timeout=30)
        self.assertEqual(self.await_result(sent["InvokeId"], ContentEncoding="PlainText")["Output"], "you\n")
        self.assertEqual(self.commands(CommandId=c)[0]["InvokeTimes"], 1)
        shown = self.call("DescribeInvocations", RegionId=REGION, InvokeId=sent["InvokeId"], ContentEncoding="PlainText",
                          IncludeOutput=True)["Invocations"]["Invocation"][0]
        self.assertEqual((shown["CommandId"], shown["CommandName"], shown["CommandContent"]), (c, "hello", "echo {{who}}"))
        self.assertEqual((shown["Timeout"], shown["WorkingDir"], shown["RepeatMode"]), (30, "/tmp", "Once"))
        self.assertEqual(json.loads(shown["Parameters"]), {"who": "you"})
        at = shown["InvokeInstances"]["InvokeInstance"][0]
        self.assertEqual((at["InstanceId"], at["InvocationStatus"], at["InstanceInvokeStatus"]), (self.i, "Success", "Finished"))
        self.assertEqual((at["Output"], at["ExitCode"]), ("you\n", 0))

    def test_run_command_keeps_it_when_told(self):
        kept = self.run_command(self.i, KeepCommand=True, Name="mine")
        self.assertEqual(self.commands(CommandId=kept["CommandId"])[0]["Name"], "mine")
        self.assertEqual(self.commands(CommandId=kept["CommandId"])[0]["InvokeTimes"], 1)
        self.assertEqual(self.commands(CommandId=self.run_command(self.i)["CommandId"]), [])

    def test_a_deleted_command_is_gone_and_its_invocations_stay(self):
        c = self.create()
        sent = self.call("InvokeCommand", RegionId=REGION, CommandId=c, InstanceId__1=self.i)["InvokeId"]
        self.call("DeleteCommand", RegionId=REGION, CommandId=c)
        self.assertEqual(self.commands(CommandId=c), [])
        self.await_result(sent)
        self.refuses("DeleteCommand", "InvalidCmdId.NotFound", 404, "The specified commandId does not exist.", RegionId=REGION, CommandId=c)
        self.refuses("InvokeCommand", "InvalidCmdId.NotFound", 404, "The specified command ID does not exist.", RegionId=REGION,
                     CommandId=c, InstanceId__1=self.i)

    def test_filters_and_pages(self):
        ids = [self.create(Name=n, Tag__1__Key="k", Tag__1__Value=n) for n in ("alpha", "beta", "alphabet")]
        names = lambda **params: [c["Name"] for c in self.commands(**params)]
        self.assertEqual(names(), ["alphabet", "beta", "alpha"])
        self.assertEqual(names(Name="alpha*"), ["alphabet", "alpha"])
        self.assertEqual(names(Name="beta"), ["beta"])
        self.assertEqual(names(Type="RunBatScript"), [])
        self.assertEqual(names(Tag__1__Key="k", Tag__1__Value="beta"), ["beta"])
        self.assertEqual(names(Provider="AlibabaCloud"), [])
        self.assertEqual(names(Provider="User", PageSize=2, PageNumber=2), ["alpha"])
        first = self.call("DescribeCommands", RegionId=REGION, MaxResults=2)
        self.assertEqual((first["TotalCount"], len(first["Commands"]["Command"])), (3, 2))
        rest = self.call("DescribeCommands", RegionId=REGION, MaxResults=2, NextToken=first["NextToken"])
        self.assertEqual([c["CommandId"] for c in rest["Commands"]["Command"]], [ids[0]])
        self.assertEqual(rest["NextToken"], "")
        self.refuses("DescribeCommands", "InvalidParam.PageSize", 403, "The specified parameter is invalid.", RegionId=REGION, PageSize=51)
        self.refuses("DescribeCommands", "InvalidParam.PageNumber", 403, RegionId=REGION, PageNumber=0)
        self.refuses("DescribeCommands", "InvalidParameter", 400, RegionId=REGION, NextToken="zz")
        self.refuses("DescribeCommands", "InvalidRegionId.NotFound", 404, "The RegionId provided does not exist in our items.",
                     RegionId="mars-1")
        self.refuses("DescribeCommands", "MissingParameter.RegionId", 400)

    def test_results_have_filters_and_pages(self):
        c = self.create()
        sent = [self.call("InvokeCommand", RegionId=REGION, CommandId=c, InstanceId__1=self.i, Tag__1__Key="n", Tag__1__Value=n)["InvokeId"]
                for n in range(3)]
        for t in sent:
            self.await_result(t)
        of = lambda **params: [r["InvokeId"] for r in self.results(**params)]
        self.assertEqual(of(CommandId=c), sent[::-1])
        self.assertEqual(of(CommandId=c, InvokeRecordStatus="Finished"), sent[::-1])
        self.assertEqual(of(CommandId=c, InvokeRecordStatus="Running"), [])
        self.assertEqual(of(CommandId=c, Tag__1__Key="n", Tag__1__Value="1"), [sent[1]])
        self.assertEqual(of(CommandId=c, InstanceId="i-none"), [])
        self.assertEqual(of(CommandId=c, PageSize=2, PageNumber=2), [sent[0]])
        first = self.call("DescribeInvocationResults", RegionId=REGION, CommandId=c, MaxResults=2)["Invocation"]
        rest = self.call("DescribeInvocationResults", RegionId=REGION, CommandId=c, MaxResults=2, NextToken=first["NextToken"])["Invocation"]
        self.assertEqual([r["InvokeId"] for r in rest["InvocationResults"]["InvocationResult"]], [sent[0]])
        of = lambda **params: [v["InvokeId"] for v in self.call("DescribeInvocations", RegionId=REGION, **params)["Invocations"]["Invocation"]]
        self.assertEqual(of(CommandId=c), sent[::-1])
        self.assertEqual(of(CommandId=c, InstanceId=self.i, CommandName="hel*", CommandType="RunShellScript"), sent[::-1])
        self.assertEqual(of(CommandId=c, InvokeStatus="Finished", PageSize=1), sent[2:])
        self.assertEqual(of(CommandId=c, InvokeStatus="Failed"), [])
        self.assertEqual(of(CommandId=c, Timed=True), [])
        self.assertEqual(of(CommandId=c, InstanceId="i-none"), [])
        self.assertEqual(of(Tag__1__Key="n", Tag__1__Value="2"), [sent[2]])

    def test_what_create_refuses(self):
        def refuses(code, status, message=None, drop=None, **params):
            params = {"RegionId": REGION, "Name": "x", "Type": "RunShellScript", "CommandContent": b64("echo"), **params}
            params.pop(drop, None)
            self.refuses("CreateCommand", code, status, message, **params)

        for name in ("Name", "Type", "RegionId"):
            refuses(f"MissingParameter.{name}", 400, f"The input parameter “{name}” that is mandatory for processing this request is not "
                    "supplied.", drop=name)
        refuses("Invalid.CommandContent", 400, "The specified CommandContent is not valid or exceed max", CommandContent="echo!")
        refuses("CmdContent.ExceedLimit", 403, "The length of the command content exceeds the upper limit.",
                CommandContent=b64("x" * (18 * 1024 + 1)))
        refuses("InvalidCmdType.NotFound", 403, Type="Bash")
        refuses("CmdParam.EmptyKey", 403, EnableParameter=True, CommandContent=b64("{{ }}"))
        refuses("InvalidRegionId.NotFound", 404, RegionId="mars-1")
        for n in range(5):
            self.create(Name=f"n{n}")
        refuses("CmdCount.ExceedQuota", 403, "The total number of commands in the current region exceeds the quota.")
        self.refuses("RunCommand", "CmdCount.ExceedQuota", 403, RegionId=REGION, Type="RunShellScript", CommandContent="echo",
                     InstanceId__1=self.i, KeepCommand=True)


class Policy(Commands):
    def test_a_policy_for_one_instance_covers_its_commands(self):
        mine, other = self.running_instance(), self.running_instance()
        policy = json.dumps({"Version": "1", "Statement": [{
            "Effect": "Allow", "Action": ["ecs:RunCommand", "ecs:StopInvocation"], "Resource": f"acs:ecs:*:*:instance/{mine}"}]})
        account = json.loads(self.ecs.ctl("account", "list", "--json"))["Accounts"]["Account"][0]["AccountId"]
        out = json.loads(self.ecs.ctl("key", "create", account, "policy=" + policy, "--json"))["Key"]

        def call(action, **params):
            return self.ecs.v3(action, {"RegionId": REGION, **params}, key=out["AccessKeyId"], secret=out["Secret"])

        script = {"Type": "RunShellScript", "CommandContent": "echo"}
        self.assertEqual(call("RunCommand", **script, **{"InstanceId.1": mine}).status, 200)
        self.assertEqual(call("RunCommand", **script, **{"InstanceId.1": other}).status, 403)
        self.assertEqual(call("RunCommand", **script, **{"InstanceId.1": mine, "InstanceId.2": other}).status, 403)
        self.assertEqual(call("RunCommand", **script, **{"ResourceTag.1.Key": "any"}).status, 403)  # that may be any instance
        self.assertEqual(call("StopInvocation", InvokeId="t-1", **{"InstanceId.1": other}).status, 403)


class Bounds(Commands):
    settings = {"quota.command_results": "100"}

    def test_old_results_make_room_and_what_is_under_way_does_not(self):
        i = self.running_instance()
        first = self.run_command(i)["InvokeId"]
        self.await_result(first)
        self.ecs.ctl("sim", "guest", i, "hang=on")
        for _ in range(99):
            self.run_command(i)
        self.assertEqual(len(self.results(InvokeId=first)), 1)
        self.run_command(i)
        self.assertEqual(self.results(InvokeId=first), [])
        self.refuses("RunCommand", "Invocation.ExceedQuota", 403,
                     "The invocation quota in the current region has been reached for today.", RegionId=REGION, Type="RunShellScript",
                     CommandContent="echo", InstanceId__1=i)
        self.ecs.ctl("sim", "guest", i, "hang=off")
        end = time.monotonic() + 20 * SLOW
        while time.monotonic() < end:
            if self.call("DescribeInvocations", RegionId=REGION, InvokeStatus="Running")["TotalCount"] == 0:
                break
            time.sleep(0.05)
        self.ran(i, "echo again")


class Large(Commands):
    def test_a_reply_has_room_for_so_much_output_only(self):
        ids = [self.running_instance() for _ in range(5)]
        value = "x" * 12300
        sent = [self.run_command(*ids, content="echo {{a}}{{a}}", EnableParameter=True, Parameters=json.dumps({"a": value}))["InvokeId"]
                for _ in range(50)]
        end = time.monotonic() + 60 * SLOW
        while time.monotonic() < end:
            if self.call("DescribeInvocations", RegionId=REGION, InvokeStatus="Finished")["TotalCount"] == len(sent):
                break
            time.sleep(0.05)
        reply = self.ecs.v3("DescribeInvocations", {"RegionId": REGION, "IncludeOutput": True, "PageSize": 50})
        self.assertEqual(reply.status, 200)
        self.assertLess(len(reply.body), 8 * 1024 * 1024)
        shown = [at for v in reply.json["Invocations"]["Invocation"] for at in v["InvokeInstances"]["InvokeInstance"]]
        self.assertEqual(len(shown), 250)
        self.assertEqual({at["Dropped"] for at in shown}, {2 * 12300 + 1 - 24 * 1024})
        self.assertEqual({len(at.get("Output", "")) for at in shown}, {32 * 1024, 0})
        self.assertEqual(len(self.result(sent[0], InstanceId=ids[0])["Output"]), 32 * 1024)


class Slow(Commands):
    """A host that takes half a second for each answer holds nobody up but its own."""

    def test_a_slow_host_keeps_no_others_from_theirs(self):
        hosts = {h["ZoneId"]: h["HostId"] for h in json.loads(self.ecs.ctl("host", "list", "--json"))["Hosts"]["Host"]}
        zones = [z for z in sorted(hosts) if z.startswith(REGION)][:2]
        slow, quick = (self.running_instance(ZoneId=z) for z in zones)
        self.ecs.ctl("sim", "host", hosts[zones[0]], "delay=500")
        waiting = [self.run_command(slow)["InvokeId"] for _ in range(20)]
        begin = time.monotonic()
        self.assertEqual(self.ran(quick, "echo quick")["Output"], "quick\n")
        self.call("StopInstance", InstanceId=quick)
        self.await_status(quick, "Stopped")
        self.assertLess(time.monotonic() - begin, 2.5 * SLOW)
        self.assertNotEqual(self.result(waiting[-1])["InvocationStatus"], "Success")


class Crash(Commands):
    """kill -9 of the daemon: what was accepted is carried out or told as unknown, never twice, never forgotten."""

    def test_what_waited_for_its_agent_runs_after_the_crash(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "hang=on")
        sent = self.run_command(i, content="echo after")["InvokeId"]
        self.ecs.kill()
        self.ecs.start()
        self.assertEqual(self.result(sent)["InvocationStatus"], "Pending")
        self.ecs.ctl("sim", "guest", i, "hang=off")
        result = self.await_result(sent, ContentEncoding="PlainText")
        self.assertEqual((result["InvocationStatus"], result["Output"]), ("Success", "after\n"))

    def test_what_ran_is_told_as_unknown(self):
        i = self.running_instance()
        sent = self.run_command(i, content="sleep 1000", Timeout=3600)["InvokeId"]
        self.await_invocation_status(sent, "Running")
        self.ecs.kill()
        self.ecs.start()
        result = self.await_result(sent)
        self.assertEqual((result["InvocationStatus"], result["ErrorCode"]), ("Failed", "ExecutionInterrupted"))
        self.assertIn(UNKNOWN, result["ErrorInfo"])
        self.assertEqual(self.ran(i, "echo on")["Output"], "on\n")

    def test_results_survive(self):
        i = self.running_instance()
        before = self.ran(i, "echo kept; exit 2")
        self.ecs.kill()
        self.ecs.start()
        self.assertEqual(self.result(before["InvokeId"], ContentEncoding="PlainText"), before)

    def test_every_accepted_call_has_an_end(self):
        ids = [self.running_instance() for _ in range(4)]
        for delay in (0, 0.001, 0.005, 0.02, 0.05):
            sent = [self.run_command(*ids, content="sleep 0.02; echo x")["InvokeId"] for _ in range(5)]
            time.sleep(delay)
            self.ecs.kill()
            self.ecs.start()
            end = time.monotonic() + 20 * SLOW
            for t in sent:
                while time.monotonic() < end:
                    results = self.results(InvokeId=t)
                    if all(r["FinishedTime"] for r in results):
                        break
                    time.sleep(0.01)
                self.assertEqual(len(results), 4)
                for r in results:
                    if r["InvocationStatus"] == "Failed":
                        self.assertIn(UNKNOWN, r["ErrorInfo"])
                    else:
                        self.assertEqual((r["InvocationStatus"], base64.b64decode(r["Output"])), ("Success", b"x\n"))
