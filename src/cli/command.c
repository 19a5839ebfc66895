/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#define JSON FLAG_BIT(FLAG_JSON)
#define MODES "KeepCharging|StopCharging"
#define LOCKS "financial|security|recycling|dedicatedhostfinancial|refunded"
#define ACCOUNT {"ACCOUNT", "AccountId", false}
#define KEY {"KEY", "AccessKeyId", false}
#define INSTANCE {"INSTANCE", "InstanceId", false}
#define INSTANCE_OR_ALL {"INSTANCE", "InstanceId", true}
#define HOST {"HOST", "HostId", false}

const struct flag_row flag_rows[FLAG_COUNT] = {
    [FLAG_DATA] = {"--data", "DIR", "The data folder of ecsd. Default: $ECSD_DATA, else /var/lib/ecsd as root, else ~/.local/share/ecsd."},
    [FLAG_JSON] = {"--json", NULL, "Print JSON; of one thing, its members at the top."},
    [FLAG_FOLLOW] = {"--follow", NULL, "Go on printing events as they happen."},
    [FLAG_TIMEOUT] = {"--timeout", "S", "Give up after so many seconds (also 5m, 1h). Default 600."},
    [FLAG_V1] = {"--v1", NULL, "Sign with version 1.0 (HMAC-SHA1) instead of ACS3-HMAC-SHA256."},
    [FLAG_XML] = {"--xml", NULL, "Ask for XML instead of JSON."},
    [FLAG_PRODUCT] = {"--product", "NAME", "Ecs (default), Vpc, Sts, Ram or Location."},
    [FLAG_VERSION] = {"--version", "DATE", "The API's version instead of the product's."},
    [FLAG_HELP] = {"--help", NULL, "Print this, or with a command what that takes."},
};

const struct command commands[] = {
    {.words = "call", .help = "Sign a call of the API with the key in the data folder, send it, print the body.",
     .kind = COMMAND_CALL, .flags = FLAG_BIT(FLAG_V1) | FLAG_BIT(FLAG_XML) | FLAG_BIT(FLAG_PRODUCT) | FLAG_BIT(FLAG_VERSION),
     .operands = {{"ACTION", NULL, false}}},
    {.words = "wait", .help = "Print each state of an instance until it is STATE; Released: until it is gone.",
     .kind = COMMAND_WAIT, .flags = FLAG_BIT(FLAG_TIMEOUT), .action = "ShowInstance",
     .operands = {INSTANCE, {"STATE", NULL, false}}},

    {.words = "account list", .help = "List accounts.", .flags = JSON, .action = "ListAccounts", .path = "Accounts.Account",
     .columns = "AccountId Name StoppedMode CreationTime"},
    {.words = "account create", .help = "Make an account with its default networks and a first key.", .flags = JSON,
     .action = "CreateAccount", .operands = {{"NAME", "Name", false}},
     .settings = {{"stopped-mode", "StoppedMode", MODES, NULL, false}}, .path = "Account"},
    {.words = "account set", .help = "Change an account. stopped-mode is what StopInstance does when a call doesn't say.",
     .flags = JSON, .action = "SetAccount", .operands = {ACCOUNT},
     .settings = {{"stopped-mode", "StoppedMode", MODES, NULL, false}, {"name", "Name", "NAME", NULL, false}}, .path = "Account"},
    {.words = "account show", .help = "Show an account.", .flags = JSON, .action = "ShowAccount", .operands = {ACCOUNT},
     .path = "Account"},

    {.words = "key list", .help = "List access keys without their secrets.", .flags = JSON, .action = "ListKeys",
     .operands = {{"ACCOUNT", "AccountId", true}}, .path = "Keys.Key",
     .columns = "AccessKeyId AccountId Enabled CreationTime ExpirationTime RoleArn"},
    {.words = "key create", .help = "Make an access key; its secret is shown this once. policy is a RAM policy in JSON.",
     .flags = JSON, .action = "CreateKey", .operands = {ACCOUNT},
     .settings = {{"id", "AccessKeyId", "ID", NULL, false}, {"secret", "Secret", "TEXT", NULL, false},
                  {"policy", "Policy", "JSON", NULL, false}}, .path = "Key"},
    {.words = "key disable", .help = "Refuse an access key from now on.", .flags = JSON, .action = "DisableKey", .operands = {KEY}},
    {.words = "key enable", .help = "Take a disabled access key again.", .flags = JSON, .action = "EnableKey", .operands = {KEY}},
    {.words = "key delete", .help = "Remove an access key.", .flags = JSON, .action = "DeleteKey", .operands = {KEY}},

    {.words = "instance list", .help = "List instances of all accounts.", .flags = JSON, .action = "ListInstances",
     .settings = {{"state", "State", "Pending|Starting|Running|Stopping|Stopped", NULL, false},
                  {"account", "AccountId", "ACCOUNT", NULL, false}, {"limit", "Limit", "N", NULL, false},
                  {"next-token", "NextToken", "TOKEN", NULL, false}},
     .path = "Instances.Instance", .columns = "InstanceId State InstanceType AccountId ZoneId HostId PublicIp Locks StateSince"},
    {.words = "instance show", .help = "Show everything of an instance.", .flags = JSON, .action = "ShowInstance",
     .operands = {INSTANCE}, .path = "Instance"},
    {.words = "instance lock", .help = "Lock an instance: " LOCKS ". Default security.", .flags = JSON,
     .action = "LockInstance", .operands = {INSTANCE, {"REASON", "Reason", true}}},
    {.words = "instance unlock", .help = "Take a lock off an instance; all locks when no reason is given.", .flags = JSON,
     .action = "UnlockInstance", .operands = {INSTANCE, {"REASON", "Reason", true}}},
    {.words = "disk set", .help = "Set the status of a disk, to stand for a fault of the storage.", .flags = JSON,
     .action = "SetDisk", .operands = {{"DISK", "DiskId", false}},
     .settings = {{"status", "Status", "In_use|Available|Attaching|Detaching|Creating|ReIniting", NULL, true}}},

    {.words = "image list", .help = "List images. Usable: instances can be made of it now.", .flags = JSON, .action = "ListImages",
     .path = "Images.Image", .columns = "ImageId State Usable Imported Format SizeGib OsType Platform AccountId ImageName"},
    {.words = "image import",
     .help = "Copy a disk image into the data folder and make an image of it. id may be one of the catalogue's.",
     .kind = COMMAND_IMAGE_IMPORT, .flags = JSON, .action = "ImportImage", .operands = {{"FILE", "File", false}},
     .settings = {{"id", "ImageId", "ID", NULL, false}, {"name", "Name", "NAME", NULL, false},
                  {"family", "Family", "NAME", NULL, false}, {"description", "Description", "TEXT", NULL, false},
                  {"account", "AccountId", "ACCOUNT", NULL, false}, {"os-type", "OsType", "linux|windows", NULL, false},
                  {"os-name", "OsName", "TEXT", NULL, false}, {"platform", "Platform", "NAME", NULL, false},
                  {"boot-mode", "BootMode", "BIOS|UEFI|UEFI-Preferred", NULL, false},
                  {"cloud-init", "CloudInit", "true|false", NULL, false}, {"format", "FileFormat", "qcow2|raw", NULL, false},
                  {"kernel", "Kernel", "FILE", NULL, false}, {"initrd", "Initrd", "FILE", NULL, false},
                  {"cmdline", "Cmdline", "TEXT", NULL, false}, {"agent", "Agent", "true|false", NULL, false}}, .path = "Image"},
    {.words = "image remove", .help = "Remove an imported image of which there is no disk.", .kind = COMMAND_IMAGE_REMOVE,
     .action = "RemoveImage", .operands = {{"IMAGE", "ImageId", false}}},

    {.words = "job list", .help = "List jobs that are not finished, newest first; with all=true the others too.",
     .flags = JSON, .action = "ListJobs",
     .settings = {{"all", "All", "true|false", NULL, false}, {"state", "State", "active|done|failed", NULL, false},
                  {"limit", "Limit", "N", NULL, false}, {"next-token", "NextToken", "TOKEN", NULL, false}},
     .path = "Jobs.Job", .columns = "JobId Kind State InstanceId Step Attempts Reason Deadline Error"},
    {.words = "job show", .help = "Show a job.", .flags = JSON, .action = "ShowJob", .operands = {{"JOB", "JobId", false}},
     .path = "Job"},
    {.words = "event list", .help = "List what happened, oldest first.", .kind = COMMAND_EVENTS,
     .flags = JSON | FLAG_BIT(FLAG_FOLLOW), .action = "ListEvents", .operands = {INSTANCE_OR_ALL},
     .settings = {{"after", "After", "EVENT", NULL, false}, {"limit", "Limit", "N", NULL, false}},
     .path = "Events.Event", .columns = "TimeUs Kind InstanceId FromState ToState Actor Reason"},
    {.words = "usage", .help = "List the billing segments of an instance, or of all, the newest instance's first.", .flags = JSON,
     .action = "ShowUsage", .operands = {INSTANCE_OR_ALL},
     .settings = {{"limit", "Limit", "N", NULL, false}, {"next-token", "NextToken", "TOKEN", NULL, false}}, .path = "Segments.Segment",
     .columns = "InstanceId AccountId Mode InstanceType PublicIp Start End Seconds"},

    {.words = "host list", .help = "List hosts.", .flags = JSON, .action = "ListHosts", .path = "Hosts.Host",
     .columns = "HostId State ZoneId Url UsedVcpus Vcpus UsedMemoryMib MemoryMib Holder"},
    {.words = "host add", .help = "Add a host.", .flags = JSON, .action = "AddHost", .operands = {HOST},
     .settings = {{"zone", "ZoneId", "ZONE", NULL, true}, {"vcpus", "Vcpus", "N", NULL, true},
                  {"memory", "MemoryGib", "GIB", NULL, true}, {"url", "Url", "URL", "sim:", false}}, .path = "Host"},
    {.words = "host set", .help = "Change a host; one that is draining takes no new instances.", .flags = JSON,
     .action = "SetHost", .operands = {HOST},
     .settings = {{"state", "State", "up|draining|down", NULL, false}, {"vcpus", "Vcpus", "N", NULL, false},
                  {"memory", "MemoryGib", "GIB", NULL, false}}, .path = "Host"},
    {.words = "host evacuate",
     .help = "Drain a host, move its stopped instances to other hosts of their zone; print what moved, and what is left and why.",
     .kind = COMMAND_EVACUATE, .flags = JSON | FLAG_BIT(FLAG_TIMEOUT), .action = "EvacuateHost", .operands = {HOST}},
    {.words = "host remove", .help = "Remove a host that carries nothing; else say what has its place there.", .flags = JSON,
     .action = "RemoveHost", .operands = {HOST}},
    {.words = "clock show", .help = "Show the daemon's clock.", .flags = JSON, .action = "ShowClock", .path = ""},
    {.words = "clock advance", .help = "Advance a virtual clock (90, 90s, 5m, 2h, 1d) and carry out what falls due.",
     .flags = JSON, .action = "AdvanceClock", .operands = {{"DURATION", "Duration", false}}, .path = ""},
    {.words = "options", .help = "List all options with what is in force and why.", .flags = JSON, .action = "ShowOptions",
     .path = "Options.Option", .columns = "Name Value Source Default"},

    {.words = "sim guest", .help = "Tell a simulated guest how to behave, or let it do something by itself.",
     .kind = COMMAND_KNOBS, .action = "SetGuest", .word_action = "DoGuest", .operands = {INSTANCE},
     .settings = {{"boot", NULL, "S", NULL, false}, {"shutdown", NULL, "S", NULL, false},
                  {"ignore-power-button", NULL, "on|off", NULL, false}, {"hang", NULL, "on|off", NULL, false},
                  {"hold-disks", NULL, "on|off", NULL, false},
                  {"poweroff", NULL, NULL, NULL, false}, {"reboot", NULL, NULL, NULL, false},
                  {"crash", NULL, NULL, NULL, false}, {"pause", NULL, NULL, NULL, false}, {"resume", NULL, NULL, NULL, false},
                  {"exec", NULL, "S", NULL, false}, {"exec-exit", NULL, "CODE", NULL, false}}},
    {.words = "sim host", .help = "Cut a simulated host off, or make its answers slow and its events unreliable.",
     .kind = COMMAND_KNOBS, .action = "SetSimHost", .operands = {HOST},
     .settings = {{"down", "state", NULL, NULL, false}, {"up", "state", NULL, NULL, false}, {"crash", NULL, NULL, NULL, false},
                  {"delay", NULL, "MS", NULL, false}, {"drop-events", NULL, "P", NULL, false},
                  {"late-events", NULL, "MS", NULL, false}, {"duplicate-events", NULL, "P", NULL, false}}},
};
const size_t command_count = countof(commands);

static void print_setting(const struct command *command, const struct setting *setting, FILE *out)
{
    bool open = !setting->required && command->kind != COMMAND_KNOBS;

    (void)fprintf(out, open ? " [%s" : " %s", setting->name);
    if (setting->value)
        (void)fprintf(out, "=%s", setting->value);
    if (open)
        (void)fputc(']', out);
}

/* Without the flags that all commands have. */
static void print_form(const struct command *command, FILE *out)
{
    (void)fputs(command->words, out);
    for (size_t i = 0; i < COMMAND_OPERANDS && command->operands[i].name; i++)
        (void)fprintf(out, command->operands[i].optional ? " [%s]" : " %s", command->operands[i].name);
    if (command->kind == COMMAND_CALL)
        (void)fputs(" [Name=Value]...", out);
    if (command->kind == COMMAND_KNOBS)
        (void)fputs(" one or more of:", out);
    for (size_t i = 0; i < COMMAND_SETTINGS && command->settings[i].name; i++)
        print_setting(command, &command->settings[i], out);
    for (unsigned i = 0; i < FLAG_COUNT; i++) {
        if (!(command->flags & FLAG_BIT(i)))
            continue;
        (void)fprintf(out, flag_rows[i].value ? " [%s %s]" : " [%s]", flag_rows[i].name, flag_rows[i].value);
    }
}

void command_print_usage(const struct command *command, FILE *out)
{
    (void)fputs("usage: ecsctl [--data DIR] ", out);
    print_form(command, out);
    (void)fputc('\n', out);
}

static void print_flag(unsigned flag, FILE *out)
{
    char head[32];

    (void)snprintf(head, sizeof(head), "%s %s", flag_rows[flag].name, flag_rows[flag].value ? flag_rows[flag].value : "");
    (void)fprintf(out, "  %-18s%s\n", head, flag_rows[flag].help);
}

void command_print_help(const struct command *command, FILE *out)
{
    command_print_usage(command, out);
    (void)fprintf(out, "\n%s\n\n", command->help);
    for (unsigned i = 0; i < FLAG_COUNT; i++)
        if ((command->flags | FLAG_BIT(FLAG_DATA) | FLAG_BIT(FLAG_HELP)) & FLAG_BIT(i))
            print_flag(i, out);
}

void command_print_all(FILE *out)
{
    (void)fputs("ecsctl: operates ecsd and calls its API.\n\nusage: ecsctl [--data DIR] COMMAND\n       ecsctl help COMMAND\n\nCommands\n",
                out);
    for (size_t i = 0; i < command_count; i++) {
        (void)fputs("  ", out);
        print_form(&commands[i], out);
        (void)fprintf(out, "\n      %s\n", commands[i].help);
    }
    (void)fputs("\nFlags\n", out);
    for (unsigned i = 0; i < FLAG_COUNT; i++)
        print_flag(i, out);
    (void)fputs("  --version         Without a command: print the version and end.\n"
                "\nExit status: 0 done; 1 refused, or --timeout has passed; 2 the command line is wrong; 3 ecsd does not answer.\n",
                out);
}
