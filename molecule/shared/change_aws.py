"""Make, change or remove what verify.yml needs in AWS; run on the controller with the operator's credentials.

change_aws.py secret ARN KEY VALUE   put another value under the key of a secret
change_aws.py bucket NAME            make a bucket
change_aws.py widen ROLE             let the role use every bucket
change_aws.py narrow ROLE            take that back
change_aws.py detach INSTANCE        take the instance's profile away; prints its ARN
change_aws.py attach INSTANCE ARN    give it back
"""

import json
import sys

import boto3

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}

match sys.argv[1:]:
    case ["secret", arn, key, value]:
        secrets = boto3.client("secretsmanager")
        content = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"]) | {key: value}
        secrets.put_secret_value(SecretId=arn, SecretString=json.dumps(content))
    case ["bucket", name]:
        boto3.client("s3").create_bucket(Bucket=name)
    case ["widen", role]:
        boto3.client("iam").put_role_policy(
            RoleName=role, PolicyName="too-wide", PolicyDocument=json.dumps(POLICY)
        )
    case ["narrow", role]:
        boto3.client("iam").delete_role_policy(RoleName=role, PolicyName="too-wide")
    case ["detach", instance]:
        ec2 = boto3.client("ec2")
        found = ec2.describe_iam_instance_profile_associations(
            Filters=[{"Name": "instance-id", "Values": [instance]}]
        )["IamInstanceProfileAssociations"][0]
        ec2.disassociate_iam_instance_profile(AssociationId=found["AssociationId"])
        print(found["IamInstanceProfile"]["Arn"])
    case ["attach", instance, arn]:
        boto3.client("ec2").associate_iam_instance_profile(
            InstanceId=instance, IamInstanceProfile={"Arn": arn}
        )
    case _:
        sys.exit(__doc__)
