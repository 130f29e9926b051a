"""Some two hundred user agents, by family, built from the forms that the real programs send."""

from __future__ import annotations

_LINUX = ("5.10.233-223.887.amzn2.x86_64", "6.1.119-129.201.amzn2023.x86_64", "6.8.0-1021-aws", "5.15.0-1075-aws")
_PYTHON = ("3.9.20", "3.10.16", "3.11.11", "3.12.8", "3.13.1")
_JAVA = ("1.8.0_432", "11.0.25", "17.0.13", "21.0.5")

BROWSERS: tuple[str, ...] = (
    *(
        f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36{suffix}"
        for version in (126, 131, 138, 142)
        for system, suffix in (
            ("Windows NT 10.0; Win64; x64", ""),
            ("Macintosh; Intel Mac OS X 10_15_7", ""),
            ("X11; Linux x86_64", ""),
            ("Windows NT 10.0; Win64; x64", f" Edg/{version}.0.0.0"),
        )
    ),
    *(
        f"Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
        for version in (115, 128, 140, 145)
        for system in ("Windows NT 10.0; Win64; x64", "X11; Ubuntu; Linux x86_64")
    ),
    *(
        f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{version}"
        " Safari/605.1.15"
        for version in ("16.6", "17.6", "18.3")
    ),
    *(
        f"Mozilla/5.0 (iPhone; CPU iPhone OS {version.replace('.', '_')} like Mac OS X) AppleWebKit/605.1.15"
        f" (KHTML, like Gecko) Version/{version} Mobile/15E148 Safari/604.1"
        for version in ("16.7", "17.6", "18.1", "18.5")
    ),
    *(
        f"Mozilla/5.0 (Linux; Android {android}; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{chrome}.0.0.0"
        " Mobile Safari/537.36"
        for android, chrome in ((10, 124), (13, 131), (14, 138), (15, 142))
    ),
)

CRAWLERS: tuple[str, ...] = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "CCBot/2.0 (https://commoncrawl.org/faq/)",
    "Mozilla/5.0 zgrab/0.x",
)

MOBILE: tuple[str, ...] = (
    "okhttp/4.9.3",
    "okhttp/4.12.0",
    "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 6 Build/TQ3A.230901.001)",
    "Dalvik/2.1.0 (Linux; U; Android 9; SM-T510 Build/PPR1.180610.011)",
    "PhotoBox/5.2 CFNetwork/1410.0.3 Darwin/22.6.0",
    "PhotoBox/6.0 CFNetwork/1568.200.51 Darwin/24.1.0",
    "Photothèque/3.2 (iPad; iOS 17.5; Scale/2.00)",
    "Dart/3.5 (dart:io)",
    "UnityPlayer/2022.3.20f1 (UnityWebRequest/1.0, libcurl/8.5.0-DEV)",
)

PYTHON: tuple[str, ...] = (
    *(
        f"Boto3/1.{minor}.{patch} md/Botocore#1.{minor}.{patch} ua/2.0 os/linux#{_LINUX[minor % 4]} md/arch#x86_64"
        f" lang/python#{_PYTHON[(minor + patch) % 5]} md/pyimpl#CPython cfg/retry-mode#{mode}"
        f" Botocore/1.{minor}.{patch}"
        for minor, mode in ((28, "legacy"), (34, "standard"), (35, "legacy"), (37, "adaptive"), (40, "legacy"))
        for patch in (12, 69, 84, 144)
    ),
    *(
        f"Boto3/1.{minor}.66 Python/{_PYTHON[minor % 5]} Linux/{_LINUX[minor % 4]} Botocore/1.{minor + 3}.66"
        for minor in (9, 17, 24)
    ),
    *(
        f"aiobotocore/2.{minor}.{minor % 4} md/Botocore#1.{minor + 21}.131 ua/2.0 os/linux#{_LINUX[minor % 4]}"
        f" md/arch#x86_64 lang/python#{_PYTHON[minor % 5]} md/pyimpl#CPython"
        for minor in (5, 9, 13, 15, 19)
    ),
    "python-requests/2.31.0",
    "python-requests/2.32.3",
    "Python-urllib/3.11",
)

COMMAND_LINE: tuple[str, ...] = (
    *(
        f"aws-cli/2.{minor}.{minor % 9} md/awscrt#0.{minor + 1}.2 ua/2.0 os/{system} md/arch#{arch}"
        f" lang/python#{_PYTHON[minor % 2 + 3]} md/pyimpl#CPython cfg/retry-mode#standard md/installer#{installer}"
        f" md/prompt#off md/command#s3.{command}"
        for minor in (13, 17, 22, 27)
        for system, arch, installer, command in (
            (f"linux#{_LINUX[1]}", "x86_64", "exe", "sync"),
            (f"linux#{_LINUX[2]}", "aarch64", "exe", "cp"),
            ("macos#24.1.0", "arm64", "source", "ls"),
        )
    ),
    *(
        f"aws-cli/1.{minor}.40 md/Botocore#1.{minor + 2}.40 ua/2.0 os/linux#{_LINUX[minor % 4]} md/arch#x86_64"
        f" lang/python#{_PYTHON[minor % 3]} md/pyimpl#CPython cfg/retry-mode#legacy botocore/1.{minor + 2}.40"
        for minor in (27, 32, 36)
    ),
    "curl/7.61.1",
    "curl/7.88.1",
    "curl/8.5.0",
    "curl/8.11.1",
    "Wget/1.21.3",
)

JVM: tuple[str, ...] = (
    *(
        f"aws-sdk-java/1.{minor}.{patch} Linux/{_LINUX[minor % 4]} OpenJDK_64-Bit_Server_VM/{java}+9-LTS"
        f" java/{java} scala/2.12.18 vendor/Amazon.com_Inc. cfg/retry-mode/legacy"
        for minor, patch, java in ((11, 1034, _JAVA[0]), (12, 262, _JAVA[0]), (12, 599, _JAVA[1]), (12, 780, _JAVA[2]))
    ),
    *(
        f"aws-sdk-java/2.{minor}.{patch} md/io#{io} md/http#{http} ua/2.1 os/Linux#{_LINUX[minor % 4]} lang/java#{java}"
        f" md/OpenJDK_64-Bit_Server_VM#{java}+11-LTS md/vendor#Amazon.com_Inc. md/en_US m/D,N"
        for minor, patch, java in ((20, 56, _JAVA[1]), (25, 70, _JAVA[2]), (29, 52, _JAVA[2]), (31, 44, _JAVA[3]))
        for io, http in (("sync", "Apache"), ("async", "NettyNio"), ("async", "AwsCommonRuntime"))
    ),
    *(
        f"Hadoop {hadoop}, aws-sdk-java/1.12.{patch} Linux/{_LINUX[patch % 4]} OpenJDK_64-Bit_Server_VM/25.432-b06"
        f" java/{_JAVA[0]} scala/2.12.15 vendor/Amazon.com_Inc. cfg/retry-mode/legacy"
        for hadoop in ("3.2.1-amzn-11", "3.3.3-amzn-6", "3.3.6")
        for patch in (367, 599)
    ),
    "Hadoop 3.4.1, aws-sdk-java/2.25.53 md/io#async md/http#NettyNio ua/2.1 os/Linux#6.1.119 lang/java#17.0.13",
    "ElasticMapReduce/1.0.0 emrfs/s3n user:hadoop,groups:, aws-sdk-java/1.12.656 Linux/5.10.233",
    "S3AFileSystem/3.3.4 Trino/440 aws-sdk-java/2.24.10 lang/java#21.0.5",
    "Presto_0.286, aws-sdk-java/1.12.560 Linux/5.15.0-1075-aws java/1.8.0_432",
)

JAVASCRIPT: tuple[str, ...] = (
    *(
        f"aws-sdk-js/3.{minor}.0 ua/2.1 os/{system} lang/js md/nodejs#{node} api/s3#3.{minor}.0 m/E,N"
        for minor, node in ((388, "18.20.4"), (622, "20.18.1"), (726, "22.12.0"), (888, "22.20.0"))
        for system in ("linux#5.10.233-243.887.amzn2.x86_64", "darwin#24.1.0")
    ),
    *(
        f"aws-sdk-nodejs/2.{minor}.0 linux/v{node} exec-env/AWS_Lambda_nodejs{node.split('.')[0]}.x promise"
        for minor, node in ((1001, "14.21.3"), (1389, "16.20.2"), (1692, "18.20.4"))
    ),
    "aws-sdk-js/2.1560.0 callback",
    "aws-amplify/6.6.5 storage/1 framework/1",
)

OTHER_SDKS: tuple[str, ...] = (
    *(
        f"aws-sdk-go/1.{minor}.{minor % 30} (go1.{minor % 6 + 17}; linux; amd64) S3Manager"
        for minor in (34, 44, 50, 55)
    ),
    *(
        f"aws-sdk-go-v2/1.{minor}.{minor % 7} ua/2.1 os/linux lang/go#1.{go} md/GOOS#linux md/GOARCH#{arch}"
        f" api/s3#1.{minor + 35}.1 m/E"
        for minor, go, arch in (
            (24, "21.6", "amd64"),
            (30, "22.9", "arm64"),
            (32, "23.4", "amd64"),
            (36, "24.2", "amd64"),
        )
    ),
    *(
        f"aws-sdk-dotnet-coreclr/{sdk} ua/2.0 os/{system} md/ARCH#X64 lang/.NET_Core#{net} md/aws-sdk-dotnet-core#{sdk}"
        " api/S3 cfg/retry-mode#legacy md/ClientAsync"
        for sdk, net, system in (("3.7.305.8", "6.0.36", "windows#10.0.20348.0"), ("3.7.411.3", "8.0.11", "linux"))
    ),
    *(
        f"aws-sdk-php/3.{minor}.9 ua/2.0 OS/Linux#{_LINUX[minor % 4]} lang/php#{php} cfg/retry-mode#legacy GuzzleHttp/7"
        for minor, php in ((222, "7.4.33"), (283, "8.1.31"), (334, "8.3.14"))
    ),
    *(
        f"aws-sdk-ruby3/3.{minor}.0 ua/2.1 api/s3#1.{minor - 40}.0 os/linux md/x86_64 lang/ruby#{ruby} md/{ruby} m/D"
        for minor, ruby in ((191, "3.1.6"), (214, "3.3.6"))
    ),
    *(
        f"aws-sdk-rust/1.{minor}.4 ua/2.1 api/s3/1.{minor * 9}.0 os/linux lang/rust/1.{rust}.0 m/E"
        for minor, rust in ((1, 76), (3, 82), (5, 86))
    ),
    "aws-sdk-cpp/1.11.400 ua/2.1 api/S3 os/Linux#6.1.119 lang/c++#C++11 md/aws-crt#0.27 md/GCC#11.4.0",
    "aws-sdk-cpp/1.9.214 Linux/5.10.233 x86_64 GCC/7.3.1",
    "aws-sdk-swift/1.0.36 ua/2.1 api/s3#1.0.36 os/ios#18.1 lang/swift#6.0",
    "aws-sdk-kotlin/1.3.80 ua/2.1 api/s3#1.3.80 os/android#14 lang/kotlin#2.0.21",
)

TOOLS: tuple[str, ...] = (
    "rclone/v1.57.0",
    "rclone/v1.64.2",
    "rclone/v1.66.0",
    "rclone/v1.68.2",
    "s3fs/1.91 (commit hash unknown; OpenSSL)",
    "s3fs/1.94 (commit hash 70a30d6; GnuTLS(gcrypt))",
    "MinIO (linux; amd64) minio-go/v7.0.66 restic",
    "MinIO (linux; arm64) minio-go/v7.0.80 mc/RELEASE.2024-11-17T19-35-25Z",
    "Cyberduck/8.7.0.40629 (Mac OS X/13.6) (aarch64)",
    "Cyberduck/9.1.0.42722 (Windows 11/10.0) (amd64)",
    "WinSCP/6.3.5 neon/0.33.0",
    "duckdb/v1.1.3(linux_amd64) python",
    "duckdb/v1.4.1(osx_arm64) cli",
    "object_store/0.11.1",
    "Go-http-client/1.1",
    "Velero/v1.15.0 (linux/amd64) 1d4f147",
    "",
    "-",
)

INFRASTRUCTURE: tuple[str, ...] = (
    *(
        f"APN/1.0 HashiCorp/1.0 Terraform/{terraform} (+https://www.terraform.io) terraform-provider-aws/{provider}"
        f" (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.{provider[2:4]}.0 os/linux"
        f" lang/go#1.22.5 md/GOOS#linux md/GOARCH#amd64 api/s3#1.{provider[2:4]}.2"
        for terraform, provider in (("1.5.7", "5.31.0"), ("1.7.5", "5.44.0"), ("1.9.8", "5.76.0"), ("1.10.2", "5.81.0"))
    ),
    "APN/1.0 Pulumi/1.0 PulumiAws/6.65.0 aws-sdk-go-v2/1.32.6 os/linux lang/go#1.23.4",
    "aws-cdk/2.173.2 ua/2.1 os/linux lang/js md/nodejs#20.18.1",
    "[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.750 Linux/5.10.233 OpenJDK_64-Bit_Server_VM/25.432-b06]",
    "S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.488 Linux/5.4.141 java/1.8.0_302 cfg/retry-mode/standard",
    "cloudformation.amazonaws.com",
    "config.amazonaws.com",
)

CLOUDFRONT: tuple[str, ...] = ("Amazon CloudFront",)
SERVICES: tuple[str, ...] = ("-", "[AWS CloudTrail]", "aws-internal/3")

OLD_SDKS: tuple[str, ...] = (
    "Boto/2.49.0 Python/2.7.18 Linux/4.14.355-275.570.amzn2.x86_64",
    "JetS3t/0.9.3 (Linux/3.10.0-1160.el7.x86_64; amd64; en; JVM 1.7.0_261)",
    "aws-sdk-java/1.7.4 Linux/3.10.0-1160.el7.x86_64 OpenJDK_64-Bit_Server_VM/24.261-b02/1.7.0_261",
    "aws-sdk-php2/2.4.12 Guzzle/3.7.4 curl/7.29.0 PHP/5.6.40",
    "CloudBerryLab.Base.HttpUtil.Client 3.7.0 (http://www.cloudberrylab.com/)",
    "aws-sdk-net/1.5.39.0 .NET Runtime/4.0 .NET Framework/4.0 OS/6.1.7601.65536",
)
"""Programs that can sign with SigV2 only."""

AGENTS: frozenset[str] = frozenset(
    BROWSERS
    + CRAWLERS
    + MOBILE
    + PYTHON
    + COMMAND_LINE
    + JVM
    + JAVASCRIPT
    + OTHER_SDKS
    + TOOLS
    + INFRASTRUCTURE
    + CLOUDFRONT
    + SERVICES
    + OLD_SDKS
)
"""All of them: for membership and counting, never for order."""
